"""The 44 items of CLAIM 2024 in our words, each with the facts that answer it.

Source: Tejani et al. (2024), Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024
Update, Radiology: Artificial Intelligence 6(4). Numbers and order are those of the guideline.
"""

from __future__ import annotations

from nachos_jax.report.checklists import data as data
from nachos_jax.report.checklists import model as model
from nachos_jax.report.checklists import results as results
from nachos_jax.report.checklists.item import Question

GUIDELINE = "CLAIM 2024"

_FRONT = (
    Question(
        "1",
        "Title",
        "Title tells that AI is used, and of which kind",
        (model.technology,),
        "the title itself",
    ),
    Question(
        "2", "Abstract", "Abstract with design, methods, results", (results.sentence,), "the abstract itself"
    ),
    Question(
        "3", "Introduction", "Background, and the role meant for the AI", (), "background and intended use"
    ),
    Question("4", "Introduction", "Aims and hypotheses", (), "aims and hypotheses"),
)
_DESIGN = (
    Question("5", "Study design", "Prospective or retrospective", (), "which of the two it is"),
    Question("6", "Study design", "Goal of the study", (), "the goal"),
)
_DATA = (
    Question(
        "7",
        "Data",
        "Where the data come from",
        (data.counts, data.origin),
        "who collected the data, where, when and for what; whether they are public",
    ),
    Question("8", "Data", "Criteria to include and exclude", (), "inclusion and exclusion criteria"),
    Question(
        "9",
        "Data",
        "Preprocessing",
        (data.preparation,),
        "what was done to the images before the program read them",
    ),
    Question(
        "10", "Data", "Subsets that were selected", (data.subset,), "whether the case table is a selection"
    ),
    Question("11", "Data", "De-identification", (), "how the data were de-identified"),
    Question(
        "12",
        "Data",
        "Missing data",
        (data.missing_data,),
        "cases left out before the case table was made, and why",
    ),
    Question("13", "Data", "Image acquisition", (), "scanners and acquisition protocols"),
)
_REFERENCE = (
    Question(
        "14",
        "Reference standard",
        "Definition of the labels",
        (data.outcome,),
        "how each class was established",
    ),
    Question("15", "Reference standard", "Why this standard", (), "the reasons for it"),
    Question("16", "Reference standard", "Who annotated", (), "annotators and their qualification"),
    Question(
        "17", "Reference standard", "Annotation of the test cases", (), "whether it differs from the others"
    ),
    Question(
        "18", "Reference standard", "Agreement within and between annotators", (), "measures of agreement"
    ),
)
_DESIGN_OF_TEST = (
    Question("19", "Data partitions", "How cases were assigned", (data.partition,)),
    Question("20", "Data partitions", "Level at which partitions are disjoint", (data.disjoint,)),
    Question(
        "21",
        "Testing data",
        "Intended sample size",
        (data.tested,),
        "how the size was set, and why it suffices",
    ),
)
_MODEL = (
    Question("22", "Model", "Description of the model", (model.model,)),
    Question("23", "Model", "Software", (model.software,)),
    Question("24", "Model", "Initial parameters", (model.INITIAL_WEIGHTS,)),
    Question(
        "25",
        "Training",
        "How the model was trained",
        (model.training, model.search, model.hardware, model.seeds),
    ),
    Question("26", "Training", "How the final model was chosen", (model.selection,)),
    Question("27", "Training", "Ensembles", (model.ensemble,)),
)
_EVALUATION = (
    Question("28", "Evaluation", "Metrics", (results.metrics,)),
    Question("29", "Evaluation", "Measures of uncertainty and significance", (results.uncertainty,)),
    Question("30", "Evaluation", "Robustness or sensitivity", (results.robustness,)),
    Question(
        "31",
        "Evaluation",
        "Explanations, and how they were validated",
        (),
        "explanations shown (the program can draw Grad-CAM maps), and how they were validated",
    ),
    Question("32", "Evaluation", "Evaluation on internal data", (results.internal,)),
    Question("33", "Evaluation", "Test on external data", (results.external,)),
    Question(
        "34", "Evaluation", "Registration of a clinical trial", (), "the registration, or that there is none"
    ),
)
_RESULTS = (
    Question("35", "Results: data", "Included and excluded", (data.counts,), "the numbers excluded, and why"),
    Question("36", "Results: data", "Characteristics in each partition", (data.folds, data.groups)),
    Question("37", "Results: performance", "Performance with uncertainty", (results.performance,)),
    Question(
        "38",
        "Results: performance",
        "Diagnostic performance with precision",
        (results.diagnostic, results.calibration),
    ),
    Question("39", "Results: performance", "Analysis of failures", (results.failures,)),
)
_REST = (
    Question(
        "40", "Discussion", "Limitations", (results.limitations,), "limitations of data, labels and setting"
    ),
    Question("41", "Discussion", "What follows for practice", (), "implications and intended use"),
    Question(
        "42",
        "Other information",
        "Full protocol or further details",
        (model.code,),
        "a reference to the protocol",
    ),
    Question(
        "43",
        "Other information",
        "Availability of software, model and data",
        (model.code, model.AVAILABILITY),
        "whether and where the data can be had",
    ),
    Question("44", "Other information", "Funding", (), "funding, and the role of the funders"),
)
QUESTIONS = _FRONT + _DESIGN + _DATA + _REFERENCE + _DESIGN_OF_TEST + _MODEL + _EVALUATION + _RESULTS + _REST
