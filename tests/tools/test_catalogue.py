"""Every reference of the practices catalogue exists, and the check can fail."""

import pytest
import yaml

from tools.catalogue import FILE, ROOT, Practice, filled, load, main, problems, summary

ENTRY = """- id: {id}
  says: 'Something: whatever it takes.'
  how: runtime
  delivered: []
  proof: []
"""
PROOF = "tests/test_src.py::test_it"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "src.py").write_text(
        "type Key = str\nclass Thing:\n    limit = 1\n    def act(self): ...\n\nLIMIT: int = 3\nNAME = 1\n"
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_src.py").write_text(
        "def helper(): ...\ndef test_it(): ...\nclass TestThing:\n    async def test_it(self): ...\n"
    )
    (tmp_path / "Makefile").write_text("BIN := bin\n.PHONY: test\ntest: setup\n\techo\n")
    (tmp_path / ".importlinter").write_text("[importlinter]\n[importlinter:contract:layers]\nname = contract:named\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.ruff.lint]\nselect = ["ALL"]\nignore = ["D1", "EM", "S101"]\n'
        "[tool.mypy]\nstrict = true\nwarn_unreachable = false\n"
    )
    return tmp_path


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "catalogue.yaml"
        file.write_text(text)
        return file

    return write


class TestTheCatalogue:
    def test_every_reference_exists(self):
        assert problems(load(), ROOT) == []

    def test_it_holds_all_588_practices(self):
        assert len(load()) == 588

    def test_filling_an_entry_touches_nothing_around_it(self):
        text = FILE.read_text()
        one, following = (practice.id for practice in load()[100:102])

        after = filled(text, {one: {"delivered": ["a.py"], "proof": ["b.py"]}})

        assert after != text
        assert after.partition(f"- id: {one}\n")[0] == text.partition(f"- id: {one}\n")[0]
        assert after.partition(f"- id: {following}\n")[2] == text.partition(f"- id: {following}\n")[2]


class TestReferences:
    @pytest.mark.parametrize(
        "reference",
        [
            "src.py",
            "tests",
            "src.py::Key",
            "src.py::Thing",
            "src.py::Thing.act",
            "src.py::Thing.limit",
            "src.py::LIMIT",
            "src.py::NAME",
            "make test",
        ],
    )
    def test_what_exists_can_deliver(self, root, reference):
        assert problems([Practice("x", (reference,), (PROOF,))], root) == []

    @pytest.mark.parametrize(
        "reference",
        [
            PROOF,
            "tests/test_src.py::TestThing::test_it",
            "make test",
            "contract:layers",
            "mypy:strict",
            "ruff:S105",
            "ruff:S1",
            "ruff:S",
            "ruff:ASYNC",
            "ruff:PL",
        ],
    )
    def test_a_test_a_rule_and_a_gate_can_prove(self, root, reference):
        assert problems([Practice("x", ("src.py",), (reference,))], root) == []

    @pytest.mark.parametrize(
        "reference",
        [
            "",
            "gone.py",
            "src.py::Gone",
            "src.py::Thing.gone",
            "src.py::act",
            "pyproject.toml::strict",
            "tests::Thing",
            "make gone",
            "make BIN",
        ],
    )
    def test_what_does_not_exist_cannot_deliver(self, root, reference):
        assert problems([Practice("x", (reference,), (PROOF,))], root) == [f"x: there is no {reference}"]

    def test_what_lies_outside_the_repository_does_not_exist(self, root):
        (root.parent / "outside.py").touch()

        outside = (str(root.parent / "outside.py"), "../outside.py")

        assert len(problems([Practice("x", outside, (PROOF,))], root)) == 2

    @pytest.mark.parametrize(
        "reference",
        [
            "tests/test_gone.py::test_it",
            "tests/test_src.py::test_gone",
            "tests/test_src.py::TestThing::test_gone",
            "tests/test_src.py::TestGone::test_it",
            "make gone",
            "contract:gone",
            "contract:named",
            "mypy:gone",
        ],
    )
    def test_a_test_a_rule_or_a_gate_that_does_not_exist_is_named(self, root, reference):
        assert problems([Practice("x", ("src.py",), (reference,))], root) == [f"x: there is no {reference}"]

    @pytest.mark.parametrize("reference", ["ruff:", "ruff:S9999", "ruff:ZZZ", "ruff:s105"])
    def test_a_ruff_code_that_ruff_does_not_have_is_named(self, root, reference):
        assert problems([Practice("x", ("src.py",), (reference,))], root) == [f"x: there is no {reference}"]

    @pytest.mark.parametrize("reference", ["ruff:D100", "ruff:EM101", "ruff:EM", "ruff:S101"])
    def test_a_ruff_code_that_is_ignored_proves_nothing(self, root, reference):
        assert problems([Practice("x", ("src.py",), (reference,))], root) == [f"x: there is no {reference}"]

    def test_a_ruff_code_in_preview_finds_nothing(self, root):
        assert problems([Practice("x", ("src.py",), ("ruff:PLW1514",))], root) == ["x: there is no ruff:PLW1514"]

    def test_a_ruff_code_that_is_not_selected_finds_nothing(self, root):
        (root / "pyproject.toml").write_text('[tool.ruff.lint]\nselect = ["S"]\n')

        assert problems([Practice("x", ("src.py",), ("ruff:S105", "ruff:D100"))], root) == ["x: there is no ruff:D100"]

    def test_a_mypy_option_that_is_switched_off_proves_nothing(self, root):
        found = problems([Practice("x", ("src.py",), ("mypy:warn_unreachable",))], root)

        assert found == ["x: there is no mypy:warn_unreachable"]

    @pytest.mark.parametrize("reference", ["src.py", "src.py::Thing", "tests/test_src.py", "tests/test_src.py::helper"])
    def test_what_cannot_fail_proves_nothing(self, root, reference):
        (problem,) = problems([Practice("x", ("src.py",), (reference,))], root)

        assert problem.startswith(f"x: {reference} proves nothing")

    def test_a_rule_delivers_nothing(self, root):
        (problem,) = problems([Practice("x", ("ruff:S105",), (PROOF,))], root)

        assert problem == "x: ruff:S105 delivers nothing; it belongs under proof"


class TestEntries:
    @pytest.mark.parametrize(
        ("practice", "missing"),
        [(Practice("x", ("src.py",), ()), "proof"), (Practice("x", (), (PROOF,)), "delivered")],
    )
    def test_half_an_entry_is_a_problem(self, root, practice, missing):
        assert problems([practice], root) == [f"x: {missing} is empty; an entry has both or neither"]

    def test_an_id_that_is_used_twice_is_a_problem(self, root):
        assert problems([Practice("x"), Practice("y"), Practice("x")], root) == ["x: the id is used 2 times"]

    @pytest.mark.parametrize("key", ["id", "says", "how"])
    def test_a_text_that_is_missing_is_a_problem(self, root, write, key):
        entry = yaml.safe_load(ENTRY.format(id="x"))[0]
        del entry[key]

        (problem,) = problems(load(write(yaml.safe_dump([entry]))), root)

        assert problem.endswith(f": {key} is missing")

    @pytest.mark.parametrize("key", ["delivered", "proof"])
    def test_a_list_that_is_missing_is_a_problem(self, root, write, key):
        file = write(ENTRY.format(id="x").replace(f"  {key}: []\n", ""))

        assert problems(load(file), root) == [f"x: {key} is not a list"]

    def test_a_key_that_is_misspelt_is_a_problem(self, root, write):
        file = write(ENTRY.format(id="x") + "  proofs: []\n")

        assert problems(load(file), root) == ["x: there is no such key as proofs"]


class TestCounting:
    def test_only_entries_with_both_lists_count(self):
        practices = [Practice("db-a", ("a",), ("b",)), Practice("db-b", ("a",), ()), Practice("env-c")]

        assert summary(practices) == ["practices: 1 of 3 delivered and proven"]

    def test_areas_are_counted_in_their_order(self):
        practices = [Practice("env-a"), Practice("db-b", ("a",), ("b",)), Practice("env-c", ("a",), ("b",))]

        assert summary(practices, areas=True)[:-1] == ["  env: 1 of 2", "  db: 1 of 1"]


class TestFilling:
    def test_every_other_line_stays_as_it_was(self):
        text = "# A comment.\n" + ENTRY.format(id="one") + "# The second part.\n" + ENTRY.format(id="two")

        after = filled(text, {"one": {"delivered": ["a.py"], "proof": ["b.py", "c.py"]}})

        assert after == text.replace(
            "  delivered: []\n  proof: []\n", "  delivered:\n  - a.py\n  proof:\n  - b.py\n  - c.py\n", 1
        )
        assert filled(after, {"one": {"delivered": [], "proof": []}}) == text

    def test_a_list_that_is_not_given_stays(self):
        text = filled(ENTRY.format(id="one"), {"one": {"delivered": ["a.py"]}})

        (entry,) = yaml.safe_load(filled(text, {"one": {"proof": ["b.py"]}}))

        assert (entry["delivered"], entry["proof"]) == (["a.py"], ["b.py"])

    def test_text_that_looks_like_a_list_is_left_alone(self):
        text = ENTRY.format(id="one").replace("whatever it takes.'", "what is\n    delivered: later\n    proof: none.'")

        (entry,) = yaml.safe_load(filled(text, {"one": {"delivered": ["a.py"]}}))

        assert entry["says"] == "Something: what is delivered: later proof: none."
        assert entry["delivered"] == ["a.py"]

    def test_a_comment_within_a_list_goes_with_the_list(self):
        text = ENTRY.format(id="one").replace("  proof: []\n", "  proof:\n  - a\n  # why b\n  - b\n  # what follows\n")

        assert filled(text, {"one": {"proof": ["c"]}}).endswith("  proof:\n  - c\n  # what follows\n")

    def test_what_yaml_would_misread_is_quoted(self):
        odd = ["a: b", "# not a comment", "x" * 300 + " y"]

        (entry,) = yaml.safe_load(filled(ENTRY.format(id="one"), {"one": {"delivered": odd}}))

        assert entry["delivered"] == odd

    @pytest.mark.parametrize(
        ("additions", "problem"),
        [
            ({"two": {"proof": ["a"]}}, "two: there is no such practice"),
            ({"one": ["a"]}, "one: write it as {delivered: [...], proof: [...]}"),
            ({"one": {"prove": ["a"]}}, "one: only delivered and proof can be filled, not prove"),
            ({"one": {"proof": "a"}}, "one: proof is not a list of references"),
            ({"one": {"proof": [1]}}, "one: proof is not a list of references"),
        ],
    )
    def test_an_addition_that_does_not_fit_is_refused(self, additions, problem):
        with pytest.raises(ValueError, match=r".") as refused:
            filled(ENTRY.format(id="one"), additions)

        assert str(refused.value) == problem

    def test_every_misfit_is_named_at_once(self):
        with pytest.raises(ValueError, match=r"(?s)two: there is no.*three: there is no"):
            filled(ENTRY.format(id="one"), {"two": {}, "three": {}})


class TestCommand:
    @pytest.fixture
    def run(self, root, write):
        file = write(ENTRY.format(id="db-one") + ENTRY.format(id="env-two"))

        def run(*arguments, fill=None):
            if fill is not None:
                (root / "fill.yaml").write_text(fill)
                arguments = (*arguments, "--fill", str(root / "fill.yaml"))
            return main(list(arguments), file=file, root=root)

        run.file = file
        return run

    def test_a_sound_catalogue_is_counted_and_passes(self, run, capsys):
        assert run("--check", "--areas") == 0
        assert capsys.readouterr().out == "  db: 0 of 1\n  env: 0 of 1\npractices: 0 of 2 delivered and proven\n"

    def test_filling_writes_the_file_and_counts_anew(self, run, capsys):
        assert run(fill=f"db-one: {{delivered: [src.py], proof: [{PROOF}]}}\n") == 0
        assert "practices: 1 of 2 delivered and proven" in capsys.readouterr().out
        assert run.file.read_text().startswith(
            "- id: db-one\n  says: 'Something: whatever it takes.'\n  how: runtime\n"
            f"  delivered:\n  - src.py\n  proof:\n  - {PROOF}\n- id: env-two\n"
        )

    def test_each_problem_stands_on_its_line_and_fails(self, run, capsys):
        assert run(fill=f"db-one: {{delivered: [gone.py, lost.py], proof: [{PROOF}]}}\n") == 1
        assert capsys.readouterr().out.splitlines()[:2] == [
            "db-one: there is no gone.py",
            "db-one: there is no lost.py",
        ]

    @pytest.mark.parametrize("fill", ["db-three: {delivered: [src.py]}", "db-one: {delivered: src.py}", "a: [", "- a"])
    def test_a_file_that_does_not_fit_leaves_the_catalogue_alone(self, run, capsys, fill):
        before = run.file.read_text()

        with pytest.raises(SystemExit) as stopped:
            run(fill=fill)

        assert stopped.value.code == 2
        assert "fill.yaml: " in capsys.readouterr().err
        assert run.file.read_text() == before
