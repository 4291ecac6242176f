"""The 27 items of TRIPOD+AI with their parts in our words, each with the facts that answer it.

Source: Collins et al. (2024), TRIPOD+AI statement, BMJ 385:e078378. Numbers and order are those of the
guideline, its items for development and for evaluation alike.
"""

from __future__ import annotations

from nachos_jax.report.checklists import data as data
from nachos_jax.report.checklists import model as model
from nachos_jax.report.checklists import results as results
from nachos_jax.report.checklists.item import Question

GUIDELINE = "TRIPOD+AI"

_FRONT = (
    Question(
        "1",
        "Title",
        "Title tells of a prediction model, the population and the outcome",
        (model.technology,),
        "the title itself",
    ),
    Question("2", "Abstract", "Abstract as TRIPOD+AI asks", (results.sentence,), "the abstract itself"),
    Question("3a", "Background", "Context, and why this model", (), "context, and existing models"),
    Question("3b", "Background", "Population, purpose and users", (), "population, purpose and users"),
    Question("3c", "Background", "Known health inequalities", (), "inequalities between groups"),
    Question("4", "Objectives", "Development, evaluation or both", (model.aim,), "the objectives"),
)
_DATA = (
    Question(
        "5a",
        "Data",
        "Sources, and how representative they are",
        (data.counts, data.same_source),
        "who collected the data, why these, and whom they represent",
    ),
    Question("5b", "Data", "Dates", (), "when data were collected"),
    Question("6a", "Participants", "Setting and centres", (), "setting, number and place of centres"),
    Question("6b", "Participants", "Eligibility", (), "eligibility criteria"),
    Question("6c", "Participants", "Treatments", (), "treatments received, if they matter"),
    Question(
        "7",
        "Data preparation",
        "Preprocessing and quality checks",
        (data.preparation,),
        "what was done before the program read the images; whether alike in all groups",
    ),
    Question(
        "8a",
        "Outcome",
        "What is predicted",
        (data.outcome,),
        "definition, time horizon and assessment of classes",
    ),
    Question("8b", "Outcome", "Who assessed it", (), "qualification of the assessors"),
    Question("8c", "Outcome", "Blinding of its assessment", (), "what the assessors knew"),
    Question("9a", "Predictors", "Choice of predictors", (data.PREDICTORS,), "why images alone"),
    Question("9b", "Predictors", "Definition of predictors", (data.PREDICTORS,), "how images were acquired"),
    Question(
        "9c",
        "Predictors",
        "Who assessed predictors",
        (),
        "whether people chose or cropped images, and who they were",
    ),
    Question(
        "10", "Sample size", "How the size came about", (data.tested,), "reasons for the size of the study"
    ),
    Question(
        "11",
        "Missing data",
        "How missing data were handled",
        (data.missing_data,),
        "cases left out before the case table was made, and why",
    ),
)
_METHODS = (
    Question("12a", "Analytical methods", "How data were used and divided", (data.partition, data.disjoint)),
    Question("12b", "Analytical methods", "How predictors were transformed", (data.preparation,)),
    Question(
        "12c",
        "Analytical methods",
        "Model, tuning and internal validation",
        (model.model, model.training, model.search, model.selection, results.internal),
        "why this type of model",
    ),
    Question("12d", "Analytical methods", "Differences over clusters", (results.heterogeneity,)),
    Question(
        "12e",
        "Analytical methods",
        "Measures of performance",
        (results.metrics, results.plots, results.uncertainty),
        "why these measures",
    ),
    Question("12f", "Analytical methods", "Updating of the model", (results.updating,)),
    Question("12g", "Analytical methods", "How predictions were made", (results.predicted,)),
    Question("13", "Class imbalance", "Handling of imbalance", (model.imbalance,)),
    Question("14", "Fairness", "Steps for fairness", (data.subgroup_columns,)),
    Question("15", "Model output", "Output and thresholds", (results.output,)),
    Question(
        "16",
        "Training versus evaluation",
        "Differences between training and test data",
        (data.same_source,),
    ),
    Question(
        "17", "Ethical approval", "Approval and consent", (), "the committee, and consent or its waiver"
    ),
)
_OPEN = (
    Question("18a", "Open science", "Funding", (), "funding, and the role of the funders"),
    Question("18b", "Open science", "Conflicts of interest", (), "conflicts of interest of all authors"),
    Question("18c", "Open science", "Protocol", (), "where the protocol is, or that there is none"),
    Question("18d", "Open science", "Registration", (), "the registration, or that there is none"),
    Question("18e", "Open science", "Data sharing", (), "whether and where the data can be had"),
    Question("18f", "Open science", "Code sharing", (model.code, model.software)),
    Question(
        "19", "Patient and public involvement", "Involvement", (), "who was involved, or that nobody was"
    ),
)
_RESULTS = (
    Question(
        "20a",
        "Participants",
        "Flow, with and without the outcome",
        (data.counts,),
        "the flow up to the case table",
    ),
    Question("20b", "Participants", "Characteristics", (data.folds, data.groups)),
    Question(
        "20c",
        "Participants",
        "Test data beside the training data",
        (data.folds,),
        "distribution of demographics beside that of classes",
    ),
    Question("21", "Model development", "Numbers in each analysis", (results.flow, data.folds)),
    Question("22", "Model specification", "The model in full, to be used", (model.AVAILABILITY,)),
    Question(
        "23a",
        "Model performance",
        "Performance with intervals, and in subgroups",
        (results.performance, results.calibration, results.subgroups),
    ),
    Question("23b", "Model performance", "Differences over clusters", (results.by_site,)),
    Question("24", "Model updating", "Results of updating", (results.updating,)),
)
_DISCUSSION = (
    Question("25", "Interpretation", "What the results mean", (), "interpretation, with fairness"),
    Question(
        "26", "Limitations", "Limitations", (results.limitations,), "limitations of data, labels and setting"
    ),
    Question("27a", "Usability", "Poor or missing input", (), "how to judge and handle poor images in use"),
    Question("27b", "Usability", "What users must do and know", (), "tasks and expertise of users"),
    Question("27c", "Usability", "Next steps", (), "future research"),
)
QUESTIONS = _FRONT + _DATA + _METHODS + _OPEN + _RESULTS + _DISCUSSION
