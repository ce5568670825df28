"""The report whole: what it says first, its page, and that nothing recorded is ever more than text in it."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from made_up import HEADER, Made, recorded

from coterie.errors import ConfigError
from coterie.evaluation.blending.header import Header
from coterie.evaluation.blending.page import LONGEST_TEXT, page
from coterie.evaluation.blending.recording import Recorded
from coterie.evaluation.blending.report import Report, make, whole_markdown, write
from coterie.evaluation.blending.rows import Question, Row
from coterie.evaluation.blending.tables import as_csv
from coterie.evaluation.significance import Bootstrap

pytest.importorskip("numpy", reason="intervals need numpy")

QUICK = Bootstrap(resamples=300)

SMALL = Made(conversations=4, turns=2)

VOID = {"meta", "br", "link"}

WILD = (
    "</td></pre></script><script>alert(1)</script><img src=x onerror=alert(1)>&\"'`\x00\x1b\ud800\u202e\U0001f600漢字"
)


class Seen(HTMLParser):
    """What stands in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.inside:
            self.inside[self.open[-1]].append(data)
        else:
            self.words.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, other, value in self.attributes if other == name]


def report_of(*rows: Row, header: Header = HEADER, questions: tuple[Question, ...] = ()) -> Report:
    return make(Recorded(header, rows, {question.place: question for question in questions}), QUICK)


def sound(report: Report) -> Seen:
    """The page, held against everything that holds for every page."""
    text = page(report)
    text.encode()  # there is no half character in it
    seen = Seen(text)
    assert seen.open == []
    assert seen.tags["script"] == seen.tags["style"] == 1
    assert seen.values("src") == []
    assert all(value.startswith(("#", "data:text/csv;charset=utf-8,")) for value in seen.values("href"))
    assert not [name for _, name, _ in seen.attributes if name.startswith("on") or name == "style"]
    anchors = seen.values("id")
    assert len(set(anchors)) == len(anchors)
    assert {value[1:] for value in seen.values("href") if value.startswith("#")} <= set(anchors)
    for value in (*seen.values("href"), *seen.inside["style"], *seen.inside["script"]):
        assert "http:" not in value
        assert "https:" not in value
    return seen


# ---- the page -----------------------------------------------------------------------------------


def test_a_page_is_sound_and_holds_everything() -> None:
    report = make(recorded(SMALL), QUICK)
    seen = sound(report)
    assert seen.tags["table"] == len(report.tables)
    assert seen.tags["svg"] == sum(len(figure.panels) for figure in report.figures)
    assert seen.tags["article"] == len(report.chosen.examples) == 6
    said = " ".join(seen.words)
    assert report.told.verdict in said
    for table in report.tables:
        assert table.title in said


def test_a_policy_lets_only_the_pages_own_style_and_script_run() -> None:
    seen = sound(make(recorded(SMALL), QUICK))
    [policy] = [value for tag, name, value in seen.attributes if (tag, name) == ("meta", "content") and "-src" in value]
    assert policy.startswith("default-src 'none'; ")
    for of in ("style", "script"):
        found = b64encode(sha256("".join(seen.inside[of]).encode()).digest()).decode()
        assert f"{of}-src 'sha256-{found}'" in policy


def test_whatever_was_recorded_is_text() -> None:
    whole = recorded(SMALL)
    header = replace(
        whole.header,
        title=WILD,
        hardware=WILD,
        command=WILD,
        started_at=WILD,
        members=({"name": WILD, WILD: WILD},),
        settings={WILD: [WILD]},
        versions={WILD: WILD},
        metrics=(replace(whole.header.metrics[0], title=WILD, how=WILD),),
        data=(replace(whole.header.data[0], name=f"CoQA{WILD}", domain=WILD, source=WILD, licence=WILD),),
        reference={"method": f"llm_blender{WILD}"},
    )
    rows = [
        replace(
            row,
            dataset=f"{row.dataset}{WILD}",
            conversation=f"{row.conversation}{WILD}",
            method=f"{row.method}{WILD}",
            text=f"{row.text}{WILD}",
            author=f"{row.author}{WILD}",
            how=WILD,
            judge=f"{row.judge}{WILD}",
            rule=WILD if row.rule else "",
            quality={**row.quality, WILD: 0.5},
        )
        for row in whole.rows
    ]
    rows.append(Row(rows[0].dataset, rows[0].conversation, 1, rows[0].method, "single", seed=1, failed=WILD))
    questions = tuple(
        replace(
            q,
            dataset=f"{q.dataset}{WILD}",
            conversation=f"{q.conversation}{WILD}",
            text=WILD,
            gold=(WILD, WILD),
            domain=WILD,
        )
        for q in whole.questions.values()
    )
    report = make(Recorded(header, tuple(rows), {q.place: q for q in questions}, (WILD,)), QUICK)
    seen = sound(report)
    assert "img" not in seen.tags
    assert "alert(1)" not in "".join(seen.inside["script"])
    assert "\x00" not in page(report)
    assert "<script" not in whole_markdown(report).replace("&lt;script", "")
    for figure in report.figures:
        assert "<script" not in figure.file()
    assert all("/" not in table.key for table in report.tables)


def test_texts_keep_their_direction_to_themselves() -> None:
    whole = recorded(SMALL)
    rows = tuple(replace(row, text="\u202eيسار") for row in whole.rows)
    text = page(make(replace(whole, rows=rows), QUICK))
    assert text.count('<div class="text" dir="auto">\u202eيسار</div>') >= 6


def test_long_texts_are_cut_and_say_so() -> None:
    whole = recorded(SMALL)
    rows = tuple(replace(row, text="ä" * 9999) for row in whole.rows)
    text = page(make(replace(whole, rows=rows), QUICK))
    assert f"The first {LONGEST_TEXT} of 9999 characters." in text
    assert "ä" * (LONGEST_TEXT + 1) not in text


def test_empty_and_failed_answers_are_told_apart() -> None:
    whole = recorded(replace(SMALL, datasets=("d",)))
    blank = tuple(replace(row, text=" ") if row.method == "ann" else row for row in whole.rows)
    failed = tuple(
        replace(r, failed="timeout after 30 s", text="", quality={}) if r.method == "bob" else r for r in blank
    )
    words = " ".join(sound(make(replace(whole, rows=failed, questions={}), QUICK)).words)
    assert "(empty)" in words
    assert "failed: timeout after 30 s" in words
    assert "The question was not recorded." in words


def test_every_table_can_be_taken_as_csv() -> None:
    report = make(recorded(SMALL), QUICK)
    links = [value for value in sound(report).values("href") if value.startswith("data:")]
    assert [unquote(link.partition(",")[2]) for link in links] == [as_csv(table) for table in report.tables]


def test_numbers_are_sorted_by_what_they_are() -> None:
    report = make(recorded(SMALL), QUICK)
    text = page(report)
    table = next(table for table in report.tables if table.key == "time")
    for row in table.rows:
        assert f'data-v="{row[2].value}"' in text


# ---- what is said first -------------------------------------------------------------------------


def apart(ours: float, theirs: float, **fields: object) -> list[Row]:
    """A blend and a member so far apart, in 40 conversations."""
    rows = []
    for n in range(40):
        noise = n % 5 / 100
        base = Row("d", str(n), 1, "s", "single", quality={"q": theirs + noise}, time_s=1.0)
        blend = replace(base, method="m", kind="blend", quality={"q": ours + noise}, time_s=2.0, **fields)  # type: ignore[arg-type]
        rows += [base, replace(blend, quality={"q": ours + n % 3 / 100})]
    return rows


PLAIN = Header()


def test_a_blend_that_wins_is_said_to_win() -> None:
    told = report_of(*apart(0.9, 0.5), header=PLAIN).told
    assert told.verdict == "1 of 1 method that blends or selects beats the best single member on d, by q."
    assert told.findings[0].startswith("It is better than the best single member on d (+0.3")
    assert told.findings[1] == "It takes 2.00 s a question."


def test_a_blend_that_does_not_win_is_said_not_to() -> None:
    assert report_of(*apart(0.51, 0.5), header=PLAIN).told.verdict == (
        "No method can be said to beat the best single member on d, by q."
    )
    assert report_of(*apart(0.4, 0.6), header=PLAIN).told.verdict == (
        "Every method is worse than the best single member on d, by q."
    )


def test_over_several_data_sets_it_is_said_on_how_many() -> None:
    rows = [*apart(0.9, 0.5), *(replace(row, dataset="e") for row in apart(0.4, 0.6))]
    told = report_of(*rows, header=PLAIN).told
    assert told.verdict == (
        "1 of 1 method that blends or selects beats the best single member on at least one of 2 data sets, by q. "
        "1 is worse on at least one of 2 data sets."
    )
    assert "worse than the best single member on e" in told.findings[0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([Row("d", "c", 1, "m", "blend")], "No quality was measured"),
        ([Row("d", "c", 1, "s", "single", quality={"q": 1.0})], "No method that blends or selects was run"),
        ([Row("d", "c", 1, "m", "blend", quality={"q": 1.0})], "No single member was run"),
        (
            [Row("d", "c", 1, "m", "blend", quality={"q": 1.0}), Row("d", "c", 2, "s", "single", quality={"q": 1.0})],
            "No method and all single members answered a question together",
        ),
    ],
)
def test_where_nothing_can_be_said_it_is_said_why(rows: list[Row], said: str) -> None:
    report = report_of(*rows, header=PLAIN)
    assert report.told.verdict.startswith(said)
    sound(report)


def test_readers_are_warned() -> None:
    rows = [*apart(0.9, 0.5, n=2, asked=2, reviews_each=1, ranked=True, generations=2, reviews=2, fusions=1)]
    odd = next(row for row in rows if row.method == "m")
    rows[rows.index(odd)] = replace(odd, reviews=1)
    rows.append(Row("d", "0", 2, "m", "blend", n=2, asked=2, reviews_each=1, failed="timeout"))
    rows.append(Row("e", "0", 1, "s", "single", quality={"q": 0.5}))
    recorded_ = Recorded(PLAIN, tuple(rows), notes=("line 9 is half written",))
    assert make(recorded_, QUICK).told.warnings == (
        "line 9 is half written",
        "e: one conversation has no interval",
        "s was not given 1 of 42 questions",
        "m failed on 1 of 42 questions",
        "m was not given 1 of 42 questions",
        "m made other calls than its formula says in 1 of 40 rows",
    )


def test_policies_of_the_best_blend_are_told() -> None:
    told = make(recorded(), QUICK).told
    assert told.run[0] == (
        "4 single members and 16 other ways of answering were given 240 questions of 60 conversations in 2 data sets "
        "(CoQA, QuAC)."
    )
    assert told.run[1] == "8 more were run with smaller pools."
    policies = [of for of in told.findings if " instead of full ranking saves " in of]
    assert len(policies) == 3


# ---- examples -----------------------------------------------------------------------------------


def test_examples_are_the_largest_gains_and_losses_each_of_a_conversation() -> None:
    """The blend gains 0.5, 0.4 (twice in c1), 0.1, loses 0.3 and 0.2; the member is 0.5 throughout."""
    gains = {
        ("c1", 1): 0.5,
        ("c1", 2): 0.4,
        ("c2", 1): 0.4,
        ("c3", 1): 0.1,
        ("c4", 1): -0.3,
        ("c5", 1): -0.2,
        ("c6", 1): 0.0,
    }
    rows = []
    for (conversation, turn), gain in gains.items():
        row = Row("d", conversation, turn, "s", "single", text="theirs", quality={"q": 0.5})
        rows += [row, replace(row, method="m", kind="blend", text="ours", quality={"q": 0.5 + gain})]
    report = report_of(*rows, header=PLAIN, questions=(Question("d", "c1", 1, "Why?", ("Because.", "So.")),))
    found = [(of.question.conversation, of.question.turn, round(of.gain, 3)) for of in report.chosen.examples]
    assert found == [("c1", 1, 0.5), ("c2", 1, 0.4), ("c3", 1, 0.1), ("c4", 1, -0.3), ("c5", 1, -0.2)]
    first = report.chosen.examples[0]
    assert (first.question.text, first.question.gold, first.rival) == ("Why?", ("Because.", "So."), "s")
    assert [(of.name, of.row.text, of.marked) for of in first.answers] == [("s", "theirs", True), ("m", "ours", True)]
    assert "the best of those that blend or select" in report.chosen.rule


# ---- edges --------------------------------------------------------------------------------------


def test_no_rows_at_all() -> None:
    report = report_of()
    assert report.told.run == ("No question was given to any method yet.",)
    assert (report.tables, report.figures) == ((), ())
    sound(report)


def test_nobody_answered() -> None:
    single = [Row("d", "c", turn, "s", "single", failed="connection refused") for turn in (1, 2)]
    rows = [*single, *(replace(row, method="m", kind="blend") for row in single)]
    report = report_of(*rows)
    sound(report)
    assert "m failed on 2 of 2 questions" in report.told.warnings
    assert [table.key for table in report.tables] == ["spent", "data-sets"]


def test_one_method_on_one_question() -> None:
    row = Row("d", "c", 1, "m", "blend", text="yes", quality={"bertscore": 0.5}, time_s=1.0, cost_usd=0.0)
    report = report_of(row)
    sound(report)
    assert [len(table.rows) for table in report.tables if table.key == "spent"] == [1]


def test_more_than_thirty_methods() -> None:
    made = Made(datasets=("one", "two"), conversations=20, turns=3, members=tuple(f"member {n}" for n in range(20)))
    report = make(recorded(made), QUICK)
    sound(report)
    quality = next(table for table in report.tables if table.key == "quality-bertscore")
    assert len(quality.rows) == 36


def test_the_same_rows_give_the_same_files(tmp_path: Path) -> None:
    whole = recorded(SMALL)
    for name in ("one", "other"):
        write(make(whole, QUICK), tmp_path / name)
    one, other = (tmp_path / "one", tmp_path / "other")
    names = [file.relative_to(one) for file in one.rglob("*") if file.is_file()]
    assert len(names) == sum(file.is_file() for file in other.rglob("*"))
    assert [(one / name).read_bytes() for name in names] == [(other / name).read_bytes() for name in names]


def test_files_stand_where_they_are_said_to(tmp_path: Path) -> None:
    report = make(recorded(SMALL), QUICK)
    files = write(report, tmp_path / "deep" / "folder")
    names = [file.relative_to(tmp_path / "deep" / "folder").as_posix() for file in files]
    assert names[:2] == ["report.html", "report.md"]
    assert {f"tables/{table.key}.{end}" for table in report.tables for end in ("md", "csv")} <= set(names)
    assert {f"figures/{figure.key}.svg" for figure in report.figures} <= set(names)
    assert all(file.is_file() for file in files)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ConfigError, match="cannot write the report to"):
        write(report_of(), tmp_path / "file")


def test_markdown_holds_the_words_and_all_tables() -> None:
    report = make(recorded(SMALL), QUICK)
    text = whole_markdown(report)
    assert text.startswith("# A made-up evaluation\n")
    assert f"**{report.told.verdict}**" in text
    for table in report.tables:
        assert f"### {table.title}" in text
