"""What all tests share: eight CPU devices, strict JAX, the folder of real data, golden files."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from nachos_jax.runtime import compile_cache
from tests import left, painting, spent

ROOT = Path(__file__).resolve().parents[1]

# Imports and tests leave so many objects that collecting them again and again takes a tenth of the time.
gc.set_threshold(1_000_000, 20, 20)

# Tests compile the same tiny programs again and again: workers, subprocesses and later runs share them.
PROGRAMS = ROOT / ".cache" / "tests" / f"jax-{metadata.version('jaxlib')}-{compile_cache.folder().name}"
PROGRAMS_MIB = 500
MAPS = 25_000
"""Memory maps of a worker, after a file of tests, from which on it forgets what it has compiled."""
LONGEST = (
    "tests/cli/test_launch.py",
    "tests/protocol/test_kill.py",
    "tests/report/test_writer.py",
    "tests/report/test_page.py",
    "tests/engine/test_pool.py",
    "tests/search/policies/test_policies.py",
    "tests/protocol/test_final_masks.py",
    "tests/engine/test_hosted.py",
    "tests/cli/test_commands.py",
    "tests/config/test_config.py",
    "tests/test_docs.py",
    "tests/tasks/test_segmentation.py",
    "tests/tasks/segmenting/test_sliding.py",
    "tests/test_style.py",
    "tests/protocol/test_masks.py",
    "tests/protocol/test_deployed_masks.py",
    "tests/protocol/test_crew.py",
    "tests/engine/test_solving.py",
    "tests/models/test_architectures.py",
)
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(PROGRAMS)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"  # nobody reads where an operation was written

# Every worker and subprocess would compile all sources anew where an environment forbids to keep them.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Compiling takes most of the time, and code that is made quickly computes the same here. `make soak` runs all
# tests once more with the compiler as users have it.
FULLY = os.environ.get("NACHOS_TESTS_COMPILE") == "fully"
if not FULLY:
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    quick = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = f"{quick} {os.environ.get('XLA_FLAGS', '')}".strip()

EXAMPLES = 200 if FULLY else 10
_for_all = pytest.MonkeyPatch()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--refresh-golden", action="store_true", help="write the files in tests/golden anew")
    parser.addoption("--cpu", action="store_true", help="show the processor seconds of files and tests")


def pytest_configure(config: pytest.Config) -> None:
    """Before the workers start: programs of old code are thrown away once they are many."""
    config.pluginmanager.register(left)
    if config.getoption("--cpu"):
        config.pluginmanager.register(spent)
    worker = hasattr(config, "workerinput")
    if worker:
        atexit.register(_leave)  # before all others, and so called after them
    if worker or not config.getoption("numprocesses", None):
        _begin()  # the others wait for a process that only hands out tests, and needs none of it
    if worker or not PROGRAMS.is_dir():
        return
    if sum(entry.stat().st_size for entry in os.scandir(PROGRAMS)) > PROGRAMS_MIB << 20:
        shutil.rmtree(PROGRAMS)


def pytest_unconfigure() -> None:
    """Takes back what `_begin` has changed."""
    _for_all.undo()


def _leave() -> None:
    """Ends a worker, which has told all: to take its modules and arrays apart takes many seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _begin() -> None:
    """Sets JAX and Hypothesis up in a process that runs tests, before one of their files is imported."""
    import hypothesis
    import jax

    # Before any backend starts: later, JAX refuses it. (The XLA_FLAGS variable would be ignored silently.)
    jax.config.update("jax_num_cpu_devices", 8)
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")

    register = hypothesis.settings.register_profile
    register("developer", deadline=None, max_examples=EXAMPLES)
    register("ci", deadline=None, max_examples=EXAMPLES, derandomize=True, print_blob=True)
    hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "developer")

    if not FULLY:
        from tests import fields

        fields.share_defaults(_for_all)


def pytest_collection_finish() -> None:
    """What is there when the first test begins stays, so nothing of it needs to be looked at again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: begun last, one of them would keep the other workers waiting."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.relative_to(ROOT).as_posix(), len(place)))


@pytest.fixture(scope="session", autouse=True)
def shared_programs() -> Iterator[None]:
    """Equal programs are compiled once in a process, and lowered in one context."""
    from tests import programs

    with pytest.MonkeyPatch.context() as patch:
        programs.share(patch)
        programs.share_contexts(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk() -> Iterator[None]:
    """Files are not forced onto the disk, which takes longer than writing them: no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        if not FULLY:
            patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def ax_is_imported_where_it_proposes() -> Iterator[None]:
    """A run imports Ax ahead, ten processor seconds of it, although it ends before Ax is asked."""
    with pytest.MonkeyPatch.context() as patch:
        if not FULLY:
            patch.setattr("nachos_jax.search.ax_search.prepare", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def forests_are_small() -> Iterator[None]:
    """Nearly all pages tell importances that nobody reads; a planted shortcut is told by any forest."""
    with pytest.MonkeyPatch.context() as patch:
        if not FULLY:
            patch.setattr("nachos_jax.report.numbers.importance.TREES", 5)
            patch.setattr("nachos_jax.report.numbers.importance.REPEATS", 2)
            patch.setattr("nachos_jax.audit.confounding.TREES", 10)
        yield


@pytest.fixture(scope="module")
def whole_forests() -> Iterator[None]:
    """For tests that look at importances: forests as users have them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nachos_jax.report.numbers.importance.TREES", 50)
        patch.setattr("nachos_jax.report.numbers.importance.REPEATS", 10)
        yield


@pytest.fixture(scope="module", autouse=True)
def few_programs() -> Iterator[None]:
    """A process has 65,530 memory maps, of which a compiled program takes some; without one more it dies."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MAPS:
        import jax

        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """For tests that compare with an oracle by tolerance: LLVM need not spend its time on fast code."""
    import jax

    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module", autouse=True)
def painted_where_looked_at(request: pytest.FixtureRequest) -> Iterator[None]:
    """Pictures are painted in tests/report, which look at them, and by commands in processes of their own."""
    if FULLY or (ROOT / "tests/report") in request.path.parents:
        yield
    else:
        with painting.unpainted():
            yield


@pytest.fixture
def figures_unpainted() -> Iterator[None]:
    """No picture is painted in this test."""
    with painting.unpainted():
        yield


@pytest.fixture(scope="module")
def all_unpainted() -> Iterator[None]:
    """No picture is painted in this file."""
    with painting.unpainted():
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data sets beside the checkout; without it the test is skipped."""
    folder = ROOT / "../shared/data"
    if not folder.is_dir():
        pytest.skip("no folder of real data at ../shared/data beside the checkout")
    return folder.resolve()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with a file of tests/golden; `pytest --refresh-golden` writes it."""

    def compare(name: str, text: str) -> None:
        path = ROOT / "tests" / "golden" / name
        if request.config.getoption("--refresh-golden"):
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing: run pytest --refresh-golden and look at what it writes"
        assert text == path.read_text(encoding="utf-8")

    return compare
