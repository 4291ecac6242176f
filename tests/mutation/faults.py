"""Faults that `make mutants` plants one at a time: each must be caught by the tests named beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: what goes wrong.
        file: where, below nachos_jax.
        text: what stands there, exactly once.
        instead: what is put in its place.
        tests: what is to catch it, files or single tests below the folder of tests.
    """

    name: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]


FAULTS = (
    # --- leaks ------------------------------------------------------------------------------------------
    Fault(
        "the outer fold is trained on in the search",
        "engine/inputs.py",
        "training = self.folds.training(fit.left_out)",
        "training = self.folds.training(fit.left_out[-1:])",
        ("engine/test_inputs.py",),
    ),
    Fault(
        "the foreground is that of all cases",
        "tasks/segmentation.py",
        "inputs.foreground(training & (",
        "inputs.foreground((training | True) & (",
        ("protocol/test_masks.py::test_nothing_of_a_test_fold_reaches_its_study",),
    ),
    Fault(
        "class weights are taken from all cases",
        "tasks/classification.py",
        "np.bincount(targets.values[training], minlength",
        "np.bincount(targets.values, minlength",
        ("engine/test_inputs.py",),
    ),
    Fault(
        "pixels are normalised by all cases",
        "engine/inputs.py",
        "self.sums.mean_sd(training)",
        "self.sums.mean_sd(np.ones_like(training))",
        ("engine/test_inputs.py",),
    ),
    Fault(
        "a fit watches folds that nobody asks about",
        "engine/watch.py",
        "in self.watchers.items() if fold in self.fit.held}",
        "in self.watchers.items()}",
        ("engine/test_paused.py::test_another_study_goes_on_from_a_lane_that_watched_its_fold_beside",),
    ),
    Fault(
        "missing values are imputed from all cases",
        "engine/inputs.py",
        "fill = self.sums.fill(training)",
        "fill = self.sums.fill(np.ones_like(training))",
        ("engine/test_solving.py::test_a_fit_reads_its_training_cases_alone",),
    ),
    Fault(
        "missing values of estimators are imputed from all cases",
        "engine/hosted/lanes.py",
        "fill=maker.sums.fill(training)",
        "fill=maker.sums.fill(np.ones_like(training))",
        ("engine/test_hosted.py::test_what_is_left_out_does_not_reach_the_training",),
    ),
    Fault(
        "balanced sampling counts cases that are held out",
        "engine/lane.py",
        "spec.task.draws(targets, chosen, told.fit)",
        "jnp.where(chosen, spec.task.draws(targets, jnp.ones_like(chosen), told.fit), 0.0)",
        ("protocol/test_leak.py::test_nothing_of_a_test_fold_reaches_its_study",),
    ),
    Fault(
        "weights of labels are counted from all cases",
        "tasks/multilabel.py",
        'self.told(targets, training, hparams)["weights"]',
        'self.told(targets, np.ones_like(training), hparams)["weights"]',
        ("tasks/test_conformance.py::test_the_contract_is_kept",),
    ),
    Fault(
        "a network is solved over all cases",
        "engine/bases.py",
        "np.flatnonzero(training)",
        "np.arange(self._room)",
        ("engine/test_solving.py::test_a_fit_reads_its_training_cases_alone",),
    ),
    Fault(
        "cases of a subject are drawn into different folds",
        "splits/folds.py",
        "alone = len(np.unique(subjects)) == len(subjects)",
        "alone = True",
        ("splits/test_folds.py",),
    ),
    Fault(
        "a trial is scored on the outer fold",
        "protocol/study/searching.py",
        "curves = {fold: record.curves[fold] for fold, record in records.items()}",
        "curves = {fold: record.curves[max(record.curves)] for fold, record in records.items()}",
        ("protocol/test_evaluate.py::test_outcomes_follow_from_the_fit_records_by_the_rule",),
    ),
    Fault(
        "a refit sees its outer fold after every epoch",
        "engine/bucket_lanes.py",
        "told._replace(n_held=np.int32(0))",
        "told",
        ("engine/test_pool.py::test_a_refit_predicts_its_fold_once_after_its_last_epoch",),
    ),
    # --- rules of stopping and selection -----------------------------------------------------------------
    Fault(
        "the best epoch is counted from 0",
        "core/curves.py",
        "return 1 + min(range(",
        "return min(range(",
        ("engine/test_watch.py",),
    ),
    Fault(
        "patience is an epoch too long",
        "engine/watch.py",
        ">= (limit.patience or 0)",
        "> (limit.patience or 0)",
        ("engine/test_watch.py",),
    ),
    Fault(
        "NaN on one watched fold ends the other watcher too",
        "engine/watch.py",
        "broken = not math.isfinite(training_loss)",
        "broken = not all(map(math.isfinite, (training_loss, *(loss for loss, _ in seen.values()))))",
        ("engine/test_watch.py",),
    ),
    Fault(
        "of equal trials the last is selected",
        "protocol/design/selection.py",
        "score.parameters, number)",
        "score.parameters, -number)",
        ("protocol/test_selection.py",),
    ),
    Fault(
        "mean best epochs are rounded down",
        "protocol/design/selection.py",
        "max(1, round(sum(best) / len(best)))",
        "max(1, sum(best) // len(best))",
        ("protocol/test_selection.py",),
    ),
    # --- lanes -------------------------------------------------------------------------------------------
    Fault(
        "random numbers depend on the lane",
        "engine/bucket_lanes.py",
        "self._told[i] = self._maker.make(fit, self.program.spec.batch_size)",
        "told = self._maker.make(fit, self.program.spec.batch_size)\n"
        "            self._told[i] = told._replace(streams=told.streams + np.uint32(i))",
        ("engine/test_pool.py::test_one_device_and_eight_give_the_same_records",),
    ),
    Fault(
        "a checkpoint resumes one epoch too early",
        "engine/resume.py",
        "FitProgress(fit, self.training_loss, self.watchers, self.first)",
        "FitProgress(fit, self.training_loss[:-1], self.watchers, self.first)",
        ("engine/test_pool.py::test_running_lanes_resume_bit_for_bit_from_their_checkpoint",),
    ),
    Fault(
        "the training loss forgets the weights of its batch",
        "tasks/classification.py",
        "return jnp.sum(weights * each) / jnp.sum(weights)",
        "return jnp.mean(weights * each)",
        ("tasks/test_classification.py",),
    ),
    # --- numbers -----------------------------------------------------------------------------------------
    Fault(
        "probabilities are rounded",
        "tasks/classification.py",
        "return with_temperature(seen, 1.0)",
        "return with_temperature(seen, 1.0).round(4)",
        ("tasks/test_classification.py::test_probabilities_are_the_softmax",),
    ),
    Fault(
        "the corrected t test takes 1/K for 1/(K - 1)",
        "statistics/comparison.py",
        "share = 1 / (folds - 1) if ratio is None else ratio",
        "share = 1 / folds if ratio is None else ratio",
        ("statistics/test_comparison.py",),
    ),
    Fault(
        "the bootstrap draws cases in place of subjects",
        "statistics/bootstrap.py",
        "_, subject = np.unique(subjects, return_inverse=True)",
        "subject = np.arange(len(subjects))",
        ("statistics/test_bootstrap.py",),
    ),
    Fault(
        "BBC selects the worst trial",
        "statistics/bbc.py",
        "sign = 1.0 if higher_is_better else -1.0",
        "sign = -1.0 if higher_is_better else 1.0",
        ("statistics/test_bbc.py",),
    ),
    Fault(
        "the confusion matrix has predicted classes as rows",
        "metrics/classification.py",
        "_checked(labels, count) * count + _checked(predicted, count)",
        "_checked(predicted, count) * count + _checked(labels, count)",
        ("metrics/test_classification.py",),
    ),
    Fault(
        "a deployed model names its classes in reverse order",
        "protocol/model/deployed.py",
        'tuple(description["classes"])',
        'tuple(description["classes"])[::-1]',
        ("cli/test_commands.py::test_threshold_and_temperature_are_shipped_and_applied",),
    ),
    Fault(
        "coarser levels weigh as much as the finest",
        "tasks/segmenting/supervision.py",
        "0.5**level",
        "1.0",
        ("tasks/segmenting/test_supervision.py",),
    ),
    Fault(
        "masks of a searched spacing are tested with the store of the config",
        "protocol/model/tested_masks.py",
        "store = run.cohort.prepared(record.hparams).store",
        "store = run.cohort.store",
        ("protocol/test_mask_spacings.py::test_masks_are_made_from_the_store_of_their_spacing",),
    ),
    # --- masks ------------------------------------------------------------------------------------------
    Fault(
        "the mask of a file that was turned stays turned",
        "data/masks.py",
        "return orientation.turned(found, common, codes) if common and codes else found",
        "return found",
        ("protocol/test_mask_axes.py",),
    ),
    Fault(
        "a file that is turned keeps its spacing in the order of its own axes",
        "data/masks.py",
        "replace(pair, image=image, mask=mask, spacing=steps, codes=codes)",
        "replace(pair, image=image, mask=mask, codes=codes)",
        ("data/test_orientation.py",),
    ),
    Fault(
        "windows beyond the last count in the mean",
        "tasks/segmenting/sliding.py",
        "counted = jnp.where(numbers[place] < many, weights, 0.0)",
        "counted = weights",
        ("tasks/segmenting/test_sliding.py::test_windows_seen_together_give_what_they_give_one_by_one",),
    ),
    Fault(
        "distances between surfaces forget the spacing",
        "metrics/surface.py",
        "_distance_to(border, spacing) for border",
        "_distance_to(border, (1.0,) * len(spacing)) for border",
        ("metrics/test_surface.py",),
    ),
    Fault(
        "components are chosen on the outer fold",
        "protocol/model/final_masks.py",
        "run.folds.cases(inner)",
        "run.folds.cases(judge.left_out[0])",
        ("protocol/test_final_masks.py::test_the_choice_is_made_on_cases_that_its_fits_did_not_see",),
    ),
    Fault(
        "an unknown label counts as absent",
        "tasks/multilabel.py",
        "jnp.where(known, jnp.where(there > 0.5, present, absent), 0.0)",
        "jnp.where(there > 0.5, present, absent)",
        ("tasks/test_multilabel.py",),
    ),
    # --- policies and searchers --------------------------------------------------------------------------
    Fault(
        "a race goes on with those that have least to gain",
        "search/policies/race.py",
        "for place in order[~left]",
        "for place in order[left]",
        ("search/policies/test_policies.py::test_race_gives_up_what_is_far_behind_after_two_folds",),
    ),
    Fault(
        "a fit counts before its stage is over",
        "search/policies/policy.py",
        "curve, training[: len(curve.loss)]\n",
        "curve, training[: len(curve.loss)]\n        self.look([asked])\n",
        ("search/policies/test_policies.py::test_order_and_kills_change_nothing",),
    ),
    Fault(
        "outer folds of a round do not meet",
        "search/policies/tournament.py",
        "return (a + b) % rounds",
        "return (a - b) % rounds",
        ("search/policies/test_tournament.py",),
    ),
    # --- pretrained networks -----------------------------------------------------------------------------
    Fault(
        "padding like TensorFlow's has its odd zero first",
        "models/zoo/layers.py",
        "(total // 2, total - total // 2)",
        "(total - total // 2, total // 2)",
        ("models/zoo/test_equality.py::test_logits_are_those_that_the_libraries_gave",),
    ),
    Fault(
        "the layers behind the freeze point learn the other way round",
        "models/tuned.py",
        "enumerate(reversed(stages))",
        "enumerate(stages)",
        ("models/test_tuned.py",),
    ),
    # --- columns, external cases, what comes in ----------------------------------------------------------
    Fault(
        "a column is called permuted and is not",
        "protocol/model/columns.py",
        "found[:, chosen] = values[order][:, chosen]",
        "found[:, chosen] = values[:, chosen]",
        ("protocol/test_columns.py::test_a_planted_column_is_missed_and_noise_is_not",),
    ),
    Fault(
        "what a column adds has the wrong sign",
        "report/numbers/columns.py",
        '"worse_by": plain - mean',
        '"worse_by": mean - plain',
        ("protocol/test_columns.py::test_worse_is_worse_whatever_the_sign_of_the_metric",),
    ),
    Fault(
        "external cases stay inside too",
        "protocol/run/outside.py",
        "np.flatnonzero(~away), np.flatnonzero(away)",
        "np.arange(len(away)), np.flatnonzero(away)",
        ("protocol/test_external.py::test_external_cases_are_parted_from_those_inside",),
    ),
    Fault(
        "an external subject in another spelling is another person",
        "protocol/run/outside.py",
        "return name if spellings == APART else canonical(name)",
        "return name",
        ("protocol/test_external_source.py::test_what_cannot_be_external_is_refused_with_the_cure",),
    ),
    Fault(
        "copies under two subjects are taken for one subject's",
        "audit/copies.py",
        "tolist())) > 1 for rows in groups]",
        "tolist())) > 2 for rows in groups]",
        ("audit/test_audit.py::test_planted_faults_are_found",),
    ),
    Fault(
        "a pseudonym depends on the spelling",
        "intake/pseudonyms.py",
        "canonical(value).encode()",
        "value.encode()",
        ("intake/test_pseudonyms.py",),
    ),
    Fault(
        "a linear DICOM window is half a step off",
        "data/dicom_voi.py",
        "centre, width = centre - 0.5, width - 1",
        "centre, width = centre, width - 1",
        ("data/test_windows.py",),
    ),
    # --- records, plan, command line ---------------------------------------------------------------------
    Fault(
        "records are written under their own name",
        "records/store.py",
        "            move(temporary, path, replace)\n",
        "            path.write_bytes(data)\n",
        ("records/test_store.py",),
    ),
    Fault(
        "the plan forgets that pairs are shared",
        "protocol/plan/fits.py",
        "pairs=len(set(pairs))",
        "pairs=len(pairs)",
        ("protocol/test_plan_fits.py",),
    ),
    Fault(
        "an unknown key of the config is accepted",
        "config/parsing.py",
        "if key not in reference:",
        "if not key:",
        ("config/test_config.py",),
    ),
    Fault(
        "a refusal ends with exit code 1",
        "cli/main.py",
        'except UsageError as error:\n        print(f"nachos: {error}", file=sys.stderr)\n        return 2',
        'except UsageError as error:\n        print(f"nachos: {error}", file=sys.stderr)\n        return 1',
        ("cli/test_bad_inputs.py",),
    ),
)
