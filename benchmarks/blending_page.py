"""The page about blending, in words that its numbers decide."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from asking import CARD_HOUR_USD, TOKEN_USD
from blending_tables import (
    TARGET,
    TARGET_SAVING,
    Found,
    arithmetic_rows,
    bound_rows,
    cost_rows,
    floor_rows,
    member_rows,
    round_rows,
    round_s,
    saving_rows,
    short_fuser_s,
    stage_rows,
    survivors,
    unscaled_ratios,
)
from figures import paragraphs
from machine import setting
from saving import Saving
from sides import (
    AS_PRINTED,
    OUR_BLENDER,
    OUR_RANKER,
    PEERS,
    PREFILL_TAKEN,
    PREFILL_WRITTEN,
    REFERENCE_BLENDER,
    REFERENCE_RANKER,
    ROUNDS,
    SIDES,
    TEXT_TAKEN,
    TEXT_WRITTEN,
    Side,
    Turn,
    least_s,
)
from stage_times import (
    ANSWER_8B,
    FUSER,
    FUSER_TOKENS,
    LLM_BLENDER_MS,
    PEER_FULL_MS,
    PEER_REDUCED_MS,
    POLICIES_CLAIMED,
    PREFILL_8B,
    REVIEW_8B,
    all_8b,
    claimed,
    in_thesis,
    pool,
)

PACKAGES = ("coterie", "aiohttp")

THESIS_POLICIES = ("dynamic_elimination", "alternate_ranking", "fixed_interval")


def page(found: Found, command: str) -> str:
    """The whole page."""
    parts = (
        _head(found, command),
        _claims(found),
        _in_words(found),
        _arithmetic(found),
        _floors(found),
        _rounds(found),
        _costs(found),
        _policies(found),
        _sources(),
    )
    return "\n".join(line for part in parts for line in part)


# ---- what was done ----------------------------------------------------------------------------


def _head(found: Found, command: str) -> Iterator[str]:
    yield from ("# Blending: what peer review saves, and what it does not", "")
    yield from paragraphs("""
        How long a committee takes for an answer as LLM-Blender (members answer, a ranker reads all ordered pairs, a
        fuser writes one text out of the best three, or the first is taken) and as Peer-Blending (members answer and
        review each other; the best answer is taken, or its author writes the final one), and what is left of the
        speed-ups that "Efficient Blending of Large Language Models" claims once both run on equal hardware.""")
    yield from paragraphs("""
        The members are HTTP mocks in a process of their own. They work side by side, each on a card of its own, one
        call at a time, and answer in the mean of their row in the thesis' table 6.3; pools above ten repeat the ten
        rows under other names. Reviewers find what table 6.2 found: an answer gets its author's mean BERTScore, laid
        from 1 to 5. A ranker and a fuser wait as long as real ones were measured to take; the sources stand at the
        end. The methods, the policies, the run and the HTTP client are the real ones.""")
    yield from paragraphs(f"""
        The thesis does not say what a review takes. Two cases stand here. A *written* review of all other answers at
        once takes as long as an answer of that member (an 8B member on an H200 took
        {REVIEW_8B.seconds / ANSWER_8B.seconds:.0%} of that). A *prefill* review is one token for each of the other
        answers, {1000 * PREFILL_8B.seconds:.0f} ms with a prompt of 600. A final answer that is written takes as long
        as its author's own.""")
    yield from paragraphs("""
        The floor is the least that these times allow. It is computed from the mock's own waits and from whose answers
        each call has read, as the mock saw it, and not from our trace: a review begins when its reviewer is free and
        the answers that it speaks of are there, and its reviewer's own. All ballots are waited for (`early_stop:
        false`).""")
    single, held = found.samples[0].scale, found.savings[0].held[0].scale
    yield from setting(PACKAGES)
    yield f"- Command: `{command}`"
    yield "- n questions to each side; all take turns in one run, whose first round opens connections and is left out"
    yield f"- Waits: {single:g} of the real ones for single questions, {held:g} in conversations"
    if single != 1:
        yield "- Times are unscaled: the floor at full length, and what was measured on top of it"
    yield ""


# ---- what survives ----------------------------------------------------------------------------


def _claims(found: Found) -> Iterator[str]:
    full, reduced = claimed(PEER_FULL_MS), claimed(PEER_REDUCED_MS)
    ranked = [saving for saving in found.savings if saving.name in THESIS_POLICIES]
    best, alone = max(ranked, key=_quicker), [_quicker(saving) for saving in ranked]
    each = ", ".join(f"{found.speed_up(side):.2f}x ({_short(side)})" for side in PEERS)
    yield from (
        f"## What survives of the thesis' speed-ups ({found.size} members)",
        "",
        "| claim | thesis | here, measured |",
        "|---|---:|---|",
        f"| full review, against LLM-Blender | {full[0]:.2f} to {full[1]:.2f}x | {each} |",
        f"| with reduced ranking, against LLM-Blender | {reduced[0]:.2f} to {reduced[1]:.2f}x "
        f"| {found.speed_up(TEXT_WRITTEN) * best.unscaled:.2f}x at best ({_short(TEXT_WRITTEN)}; `{best.name}`) |",
        f"| the policies alone | {POLICIES_CLAIMED[0]} to {POLICIES_CLAIMED[1]}x "
        f"| {min(alone):.2f} to {max(alone):.2f}x ({_short(TEXT_WRITTEN)}) |",
        "",
    )


def _quicker(saving: Saving) -> float:
    return saving.unscaled


def _short(side: Side) -> str:
    return side.name.removeprefix("peer, ")


def _in_words(found: Found) -> Iterator[str]:
    here = [found.speed_up(side) for side in PEERS]
    thesis_s, blender_s = statistics.mean(LLM_BLENDER_MS) / 1000, found.wall_s(REFERENCE_BLENDER)
    yield from paragraphs(f"""
        **Of the claims against LLM-Blender, {min(here):.1f} to {max(here):.1f} times are left.** The thesis'
        LLM-Blender takes {thesis_s:.0f} s a question. With the same members, the reference's own ranking loop and a
        3B fuser on one H200 it takes {blender_s:.2f} s, {thesis_s / blender_s:.1f} times less. The thesis does not
        say where its {thesis_s:.0f} s go, and no stage that was measured here accounts for them. Its Peer-Blending
        takes {statistics.mean(PEER_FULL_MS) / 1000:.2f} s, ours at most {found.wall_s(TEXT_WRITTEN):.2f} s: the claim
        rests on the time that it is measured against.""")
    pairs = found.size * (found.size - 1)
    ours = [found.wall_s(OUR_BLENDER) / found.wall_s(side) for side in PEERS]
    alone = [found.wall_s(side) for side in (REFERENCE_RANKER, OUR_RANKER)]
    yield from paragraphs(f"""
        **A ranker need not cost what the reference's loop does.** All {pairs} pairs take
        {REFERENCE_BLENDER.ranker.rank_s(found.size):.2f} s
        in the reference's loop and {1000 * OUR_BLENDER.ranker.rank_s(found.size):.0f} ms in ours; the fuser takes
        {FUSER.seconds} s. With our ranker LLM-Blender still takes {min(ours):.1f} to {max(ours):.1f} times as long as
        Peer-Blending, and without its fuser, its first answer taken, {alone[0]:.2f} s with the reference's ranking
        loop and {alone[1]:.2f} s with ours. That is {"less" if alone[1] < found.wall_s(PREFILL_TAKEN) else "more"}
        than the quickest Peer-Blending takes ({found.wall_s(PREFILL_TAKEN):.2f} s). What Peer-Blending saves is a
        trained ranker and the card that it runs on, and not its time.""")
    yield from paragraphs(f"""
        **The gain lies in what a review costs and in whether a second text is written.** Written reviews and a
        written final answer take {found.wall_s(TEXT_WRITTEN):.2f} s, for the slowest member is the best here and
        writes three times. Taking the best answer as it is saves one of these texts ({found.wall_s(TEXT_TAKEN):.2f}
        s), reviewing in a prefill another ({found.wall_s(PREFILL_WRITTEN):.2f} s), both leave little more than the
        slowest answer ({found.wall_s(PREFILL_TAKEN):.2f} s).""")
    yield from _on_equal_cards(found)
    yield from _policy_words(found)


def _on_equal_cards(found: Found) -> Iterator[str]:
    members = pool(found.size)
    turn, told, big = Turn(members), in_thesis(members), all_8b(members)
    blender_s, written_s, taken_s = (least_s(s, turn, big) for s in (REFERENCE_BLENDER, TEXT_WRITTEN, PREFILL_TAKEN))
    tokens, fuser_s = short_fuser_s(members)
    short_s = least_s(REFERENCE_BLENDER, turn, told) - FUSER.seconds + fuser_s
    yield from paragraphs(f"""
        **Even so the comparison flatters Peer-Blending,** because the fuser was measured with {FUSER_TOKENS} tokens,
        and the thesis' members answer so quickly that they cannot write as many. By arithmetic: {found.size} 8B
        members on the fuser's own kind of card make it {blender_s:.2f} s for LLM-Blender and {written_s:.2f} s for
        written reviews with a written final answer, {_against(blender_s, written_s)}; prefill reviews with the best
        answer taken make it {taken_s:.2f} s, {_against(blender_s, taken_s)}. And if the fuser wrote no more than the
        slowest member can in its time ({tokens:.0f} tokens, {fuser_s:.2f} s by proportion), LLM-Blender would take
        {short_s:.2f} s beside {least_s(TEXT_WRITTEN, turn, told):.2f} s.""")
    printed_s, reference_s = least_s(AS_PRINTED, turn, told), least_s(REFERENCE_BLENDER, turn, told)
    yield from paragraphs(f"""
        A written review of each answer on its own, as the thesis prints its evaluator's prompt (5.1.3), takes N - 1 =
        {found.size - 1} texts a member, one after another: {printed_s:.2f} s beside {reference_s:.2f} s for
        LLM-Blender, {_against(reference_s, printed_s)}. Peer-Blending is quick only where one review speaks of all
        answers, or is a prefill, or members take many calls at once.""")


def _against(slow_s: float, quick_s: float) -> str:
    ratio = slow_s / quick_s
    return f"{ratio:.1f} times as quick" if ratio > 1 else f"which is no gain ({ratio:.2f} times as quick)"


def _policy_words(found: Found) -> Iterator[str]:
    half, best = survivors(found.size)
    low, high = POLICIES_CLAIMED
    yield from paragraphs(f"""
        **Policies save calls, and little time, where members work side by side.** A turn takes as long as its slowest
        member, and {best[0]}, the slowest, is also the best by table 6.2: it is among those who survive
        ({", ".join(half)}) and first of the three who are fused. So elimination saves half the calls of a turn and
        none of its time, where reviews are written; a turn without ranking saves the round of reviews.
        {_had_the_slowest_gone(found)}""")
    yield from paragraphs(f"""
        So the lower end of the thesis' {low} to {high} times is in reach where those who go are slow. {high} under
        fixed-interval elimination means that a turn of half the members takes {(3 / high - 1) / 2:.0%} of a full one:
        it consists of what grows with the committee, pairs or members one after another, and not of members on cards
        of their own. Larger committees gain more, as the thesis expects, only where the ranking grows with them: in
        the reference's loop with N (N - 1) pairs, and in prefill reviews that a member takes one at a time. The
        limits stand below.""")


def _had_the_slowest_gone(found: Found) -> str:
    """What elimination could save under any order of the members."""
    members = pool(found.size)
    told = in_thesis(members)
    quickest = sorted(members, key=lambda member: told[member]["generate"])[: found.size - found.size // 2]
    full_s, half_s = (least_s(TEXT_WRITTEN, Turn(who), told) for who in (members, quickest))
    dynamic, fixed = 2 * full_s / (full_s + half_s), 3 * full_s / (full_s + 2 * half_s)
    return (
        f"Had the slower half been the worse one, turns would be {dynamic:.2f} times as quick under dynamic "
        f"elimination and {fixed:.2f} times under fixed-interval elimination, at most."
    )


def _arithmetic(found: Found) -> Iterator[str]:
    yield from paragraphs("""
        The least that each way can take, by arithmetic on the stage times: with the thesis' members, and with 8B
        members whose times were measured on the same kind of card as the fuser's and the ranker's.""")
    yield from (*arithmetic_rows(found.size), "")


# ---- the tables -------------------------------------------------------------------------------


def _floors(found: Found) -> Iterator[str]:
    samples = [s for s in found.samples if s.side in SIDES]
    yield from ("## Every method beside its floor", "", *floor_rows(samples), "")
    missed = [s for s in samples if statistics.median(unscaled_ratios(s)) > TARGET]
    if not missed:
        yield from paragraphs(f"The aim, at most {TARGET} times the floor in the median, is held everywhere.")
        return
    which = "; ".join(f"{s.side.name}, N = {s.members} ({s.made[0].total} calls)" for s in missed)
    yield from paragraphs(f"""
        Missed by: {which}. What lies above the floor is the time that one Python process takes for its calls, on one
        core ("CPU"), and where a member takes reviews one after another, the way to and fro of each.""")


def _rounds(found: Found) -> Iterator[str]:
    yield from ("## A round of reviews as the pool grows", "")
    yield from paragraphs("""
        From the slowest answer to the end of the last review, measured (p50), with the floor in parentheses. One
        review for all answers takes the time of one text, however many members there are. Reviews of single answers
        do so where a member takes them at once; one at a time they queue up, k of them, or N - 1 where everybody
        reviews everything.""")
    samples = [s for s in found.samples if s.side in (TEXT_TAKEN, PREFILL_TAKEN, *ROUNDS)]
    yield from (*round_rows(samples), "")
    text_s = max(times["review"] for times in found.told.values())
    longest = max((s for s in samples if s.side in (TEXT_TAKEN, ROUNDS[0])), key=round_s)
    yield from paragraphs(f"""
        The longest round of written reviews for all answers, at N = {longest.members}, took
        {round_s(longest) / text_s:.3f} times the slowest member's review ({1000 * text_s:.0f} ms): the round
        {"does not grow" if round_s(longest) <= TARGET * text_s else "grows"} with N.""")


def _costs(found: Found) -> Iterator[str]:
    yield from ("## What a question costs", "")
    yield from paragraphs(f"""
        Calls are N answers, N k reviews and one final answer: N + N k + 1. A written review of all other answers
        makes k = 1, a review of each answer on its own k = N - 1; where the best answer is taken the last call falls
        away. LLM-Blender makes N, and its ranker and fuser run on a card of the committee's own. That formula, the
        mock's count, the calls of the trace and its bill agree was checked for every question: the run ends where
        they do not. Tokens are those of the members, at 4 bytes each; an answer and a written review have about 130.
        USD are an assumption and nobody's offer: {TOKEN_USD:g} a million tokens, read or written, and
        {CARD_HOUR_USD:g} an hour of the ranker's and fuser's card. Card seconds are the stage times of all calls and
        of ranker and fuser.""")
    yield from (*cost_rows(s for s in found.samples if s.side in SIDES), "")


def _policies(found: Found) -> Iterator[str]:
    first = found.savings[0]
    held = len(first.held[0].walls_s) // first.turns
    yield from ("## Policies", "")
    yield from paragraphs(f"""
        {first.full[0].members} members, {_short(first.full[0].side)}. An interval is {held} conversations of q turns;
        all policies hold each in turn, and n counts turns. "Quicker" is the time of full ranking over the policy's in
        the same interval, with waits {first.held[0].scale:g} times as long as the real ones; "unscaled" has the
        floors at full length and what was measured on top of them, to which the aim of {TARGET} times the floor
        belongs. The bound is `speed_up(policy.shares(N, K, q), N, time_s)` with the stage times, which for alternate
        ranking and even q is 2 T / (T + T without ranking); the limit is the same for any q. Where members are drawn
        it is the bound of those who were. That the turns are those of the closed form, in time and in calls, is
        checked. The aim is {TARGET_SAVING:.0%} of the bound. Since that is soon reached where there is little to
        save, the last column says how much was saved of the time that can be (blank where that is next to none).""")
    yield from (*saving_rows(found.savings), "")
    yield from paragraphs("The limits for every way of blending, by arithmetic on the stage times:")
    fixed = {name: policy for name, policy in found.policies.items() if not name.startswith("random")}
    yield from (*bound_rows(fixed), "")


def _sources() -> Iterator[str]:
    yield from ("## Where the times come from", "")
    yield from paragraphs(
        "Means over the five data sets of the thesis' tables 6.3 (time a question) and 6.2 (BERTScore F1):"
    )
    yield from (*member_rows(), "")
    yield from paragraphs("Measured:")
    yield from (*stage_rows(), "")
