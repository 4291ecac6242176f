"""What columns are called in hospitals: words for each role, in English, German, French and Spanish."""

from __future__ import annotations

import re
import unicodedata

ROLES: dict[str, tuple[str, ...]] = {
    "subject": (
        *("subject", "subject id", "subjectid", "patient", "patient id", "patientid", "patient number"),
        *("patient no", "pat id", "patid", "pat nr", "patnr", "pid", "mrn", "participant", "participant id"),
        *(
            "patientennummer",
            "patienten nummer",
            "patienten nr",
            "patientennr",
            "patienten id",
            "patientenid",
        ),
        *("proband", "probanden id", "probandennummer", "person", "person id", "numero patient", "paciente"),
        *("patient nummer", "pseudonym", "study id", "hashed mrn", "id patient", "id paciente"),
    ),
    "site": (
        *("site", "center", "centre", "hospital", "clinic", "institution", "scanner", "location", "source"),
        *("klinik", "zentrum", "standort", "krankenhaus", "institut", "gerat", "geraet", "hopital", "centro"),
        *("site id", "center id", "scanner id", "manufacturer", "hersteller"),
    ),
    "age": ("age", "alter", "patient age", "age years", "alter jahre", "age at study", "edad", "age at scan"),
    "sex": ("sex", "gender", "geschlecht", "patient sex", "sexe", "sexo", "m f", "m w"),
    "fold": ("fold", "split", "set", "partition", "group", "gruppe", "subset", "dataset", "cv fold", "falte"),
    "mask": ("mask", "masks", "maske", "segmentation", "segmentierung", "mask path", "masque"),
    "case": (
        "case",
        "case id",
        "image id",
        "bild id",
        "scan id",
        "exam id",
        "study",
        "accession",
        "fallnummer",
    ),
    "label": (
        *("label", "labels", "class", "klasse", "target", "diagnosis", "diagnose", "befund", "outcome"),
        *("category", "finding", "findings", "pathology", "dx", "y", "result", "ergebnis", "histology"),
        *("histologie", "grade", "grad", "diagnostic", "diagnostico", "ground truth", "gt", "disease"),
        *("severity", "schweregrad", "stage", "stadium", "grading", "birads", "bi rads", "pirads", "isup"),
        *("kl grade", "tirads", "lirads", "gleason", "finding labels", "diagnoses", "diagnosen", "befunde"),
        *("malignancy", "dignitat", "dignitaet", "klassifikation", "classification", "status", "tumor type"),
    ),
}
"""The first words of a role are the surest; order breaks no tie."""
WHO = (
    *("name", "vorname", "nachname", "first name", "last name", "surname", "firstname", "lastname", "nom"),
    *("patient name", "patientenname", "patientname", "prenom", "nombre", "apellido", "family name"),
    *(
        "address",
        "adresse",
        "anschrift",
        "strasse",
        "street",
        "plz",
        "zip",
        "city",
        "ort",
        "wohnort",
        "phone",
    ),
    *("telefon", "telephone", "email", "e mail", "mail", "versichertennummer", "insurance", "ssn"),
    *(
        "birth date",
        "birthdate",
        "date of birth",
        "dob",
        "geburtsdatum",
        "geburtstag",
        "geb datum",
        "geb dat",
    ),
    *("gebdat", "birthday", "born", "fecha nacimiento", "date naissance", "physician", "arzt", "doctor"),
    *(
        "comment",
        "comments",
        "kommentar",
        "bemerkung",
        "bemerkungen",
        "notes",
        "notiz",
        "anmerkung",
        "remarks",
    ),
    *("befundtext", "report", "report text", "freitext", "description", "beschreibung", "radiologist"),
)
"""Columns that say who a patient is, or that hold what people write by hand."""
BESIDE = frozenset(
    ("smoker", "smoking", "raucher", "fumeur", "diabetes", "diabetic", "hypertension", "hypertonie")
    + ("contrast", "contrast agent", "kontrastmittel", "km", "pregnant", "schwanger", "implant", "pacemaker")
    + ("inpatient", "stationar", "emergency", "notfall", "portable", "follow up", "consent", "einwilligung")
    + ("included", "eingeschlossen", "excluded", "alcohol", "alkohol", "menopause", "family history")
)
"""Columns of yes and no that say who a patient is or how the image was taken, and not what it shows."""
NOTHING = frozenset(
    ("no finding", "no findings", "nofinding", "normal", "none", "no", "negative", "healthy", "unremarkable")
    + ("keine", "keiner", "kein befund", "ohne befund", "o b", "ob", "unauffallig", "gesund", "negativ")
    + ("rien", "aucun", "aucune", "sain", "normale", "sano", "ninguno", "no tumor", "no tumour", "notumor")
    + ("no disease", "kein tumor", "ohne", "nil")
)
"""Words by which a case has none of what is looked for, as `plain` gives them."""
HEALTHY = NOTHING | {
    "control",
    "controls",
    "kontrolle",
    "benign",
    "gutartig",
    "benigne",
    "benin",
    "well",
    "hc",
}
"""Classes of which, beside one other, nobody is looked for."""
GRADED = frozenset(
    ("grade", "grad", "grading", "stage", "stadium", "staging", "stade", "severity", "schweregrad", "score")
    + ("birads", "bi rads", "pirads", "pi rads", "lirads", "li rads", "tirads", "ti rads", "isup", "gleason")
    + ("cin", "kl", "kl grade", "kellgren", "nyha", "who grade", "dr grade", "level", "density", "dichte")
)
"""Names of columns, and words before a number, whose values have an order."""
PARTS = {"train", "training", "val", "valid", "validation", "test", "testing", "dev", "hold out", "holdout"}
"""Values of a shipped split."""


def plain(name: str) -> str:
    """A column's name in small letters without accents, its words with blanks between them."""
    name = re.sub(r"(?<=[a-z\d])(?=[A-Z])", " ", name.strip().replace("ß", "ss"))
    bare = "".join(mark for mark in unicodedata.normalize("NFKD", name) if not unicodedata.combining(mark))
    return " ".join(re.findall(r"[a-z\d]+", bare.casefold()))


def role_by_name(name: str) -> str:
    """The role that a column's name tells; "" for none."""
    told = plain(name)
    joined = told.replace(" ", "")
    for role, words in ROLES.items():
        if any(told == word or joined == word.replace(" ", "") for word in words):
            return role
    return ""


def tells_who(name: str) -> bool:
    """Whether a column bears the name of what must not be copied."""
    told = plain(name)
    return any(told == word or told.replace(" ", "") == word.replace(" ", "") for word in WHO)
