"""Conversations, in every store: trees of turns that a stateless client walks, forks and edits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from stores import Where, count

from coterie.errors import ConfigError, StoreError
from coterie.protocols import Store
from coterie.store import Database
from coterie.store.conversations import MAX_TEXT_BYTES
from coterie.store.keys import MOST_BEGINNINGS
from coterie.store.plain import MAX_STATE_BYTES
from coterie.types import Json, Message, Secret, Transcript, Turn

DAY_S = 86_400.0


@dataclass
class Client:
    """A chat program that sends everything again, and what answers it out of a store."""

    store: Store
    conversation: str | None = None
    scope: str = ""
    messages: tuple[Message, ...] = ()
    _runs: itertools.count[int] = field(default_factory=itertools.count)

    async def ask(self, question: str, answer: str, state: Mapping[str, Json] | None = None) -> Turn:
        """One turn, as a policy goes through it: its own state is how many turns it has seen."""
        transcript = self.says(question)
        last = await self.store.conversations.last(transcript)
        state = state if state is not None else {"seen": (last.state["seen"] if last else 0) + 1}
        reply = Message("assistant", answer)
        run = f"{id(self)}-{next(self._runs)}"
        turn = await self.store.conversations.remember(transcript, reply, run, state, last)
        assert turn is not None
        self.messages = (*transcript.messages, reply)
        return turn

    def says(self, question: str) -> Transcript:
        return Transcript((*self.messages, Message("user", question)), self.conversation, self.scope)

    async def finds(self, question: str = "And then?") -> Turn | None:
        return await self.store.conversations.last(self.says(question))

    def alter(self, place: int, text: str) -> None:
        messages = list(self.messages)
        messages[place] = replace(messages[place], content=text)
        self.messages = tuple(messages)


def test_a_conversation_goes_on_from_its_last_turn(url: str) -> None:
    async def main() -> None:
        async with Database.at(url).open() as store:
            client = Client(store, messages=(Message("system", "Be brief."),))
            assert await client.finds() is None
            first = await client.ask("one", "1")
            assert (first.number, first.parent, first.state) == (1, None, {"seen": 1})
            assert await client.finds() == first
            second = await client.ask("two", "2")
            assert (second.number, second.parent, second.state) == (2, first.id, {"seen": 2})
            assert second.conversation == first.conversation
        async with Database.at(url).open() as store:
            client.store = store
            third = await client.ask("three", "3")
            assert (third.number, third.parent, third.state) == (3, second.id, {"seen": 3})

    asyncio.run(main())


def test_two_conversations_that_share_no_answer_are_two(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            one, other = Client(store), Client(store)
            a, b = await one.ask("hi", "Hello!"), await other.ask("hi", "Hey!")
            assert a.conversation != b.conversation
            assert (await one.finds(), await other.finds()) == (a, b)

    asyncio.run(main())


def test_an_answer_that_was_made_again_is_a_fork_and_each_branch_goes_its_way(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            client = Client(store)
            root = await client.ask("one", "1")
            again = replace(client)
            left, right = await client.ask("two", "a"), await again.ask("two", "b")
            assert left.parent == right.parent == root.id
            assert left.conversation == right.conversation
            assert (left.number, right.number) == (2, 2)
            assert await client.finds() == left
            assert await again.finds() == right
            assert (await client.ask("three", "3")).parent == left.id
            assert (await again.ask("three", "3")).parent == right.id

    asyncio.run(main())


def test_a_question_that_was_edited_goes_on_from_before_it(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            client = Client(store)
            root = await client.ask("one", "1")
            before = client.messages
            await client.ask("two", "2")
            client.messages = before
            assert (await client.ask("TWO", "2")).parent == root.id
            client.alter(0, "ONE")  # nobody has asked that before
            assert await client.finds() is None

    asyncio.run(main())


@pytest.mark.parametrize("altered", ["2, and", "", "  2\r\n", "something else"])
def test_an_answer_that_the_client_altered_is_found_by_the_words(where: Where, altered: str) -> None:
    async def main() -> None:
        async with where.open() as store:
            client = Client(store, messages=(Message("system", "It is 10:01."),))
            await client.ask("one", "1")
            second = await client.ask("two", "2")
            client.alter(0, "It is 10:02.")
            client.alter(-1, altered)
            assert await client.finds() == second
            third = await client.ask("three", "3")
            assert third.parent == second.id
            assert await client.finds() == third

    asyncio.run(main())


def test_words_that_two_conversations_share_are_not_guessed_at(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            one, other = Client(store), Client(store)
            await one.ask("hi", "Hello!")
            b = await other.ask("hi", "Hey!")
            one.alter(-1, "Hello")
            assert await one.finds() is None
            assert await other.finds() == b  # its own answer says which it is
            begun_anew = await one.ask("two", "2")
            assert (begun_anew.number, begun_anew.parent) == (1, None)
            one.alter(-1, "2!")
            assert await one.finds() == begun_anew  # by now its words are its own

    asyncio.run(main())


@pytest.mark.parametrize("name", [None, "trip"])
def test_an_answer_that_was_stopped_half_way_costs_its_turn_and_not_the_conversation(
    where: Where, name: str | None
) -> None:
    async def main() -> None:
        async with where.open() as store:
            client = Client(store, name)
            first = await client.ask("one", "1")
            second = await client.ask("two", "2")
            client.messages = (*client.says("three").messages, Message("assistant", "half of th"))
            assert await client.finds() == second
            fourth = await client.ask("four", "4")
            assert (fourth.parent, fourth.number) == (second.id, 3)
            assert await client.finds() == fourth
            client.messages = (*client.messages[:2], Message("user", "TWO"), Message("assistant", "half of t"))
            assert await client.finds() == first

    asyncio.run(main())


def test_a_beginning_is_looked_for_so_many_answers_back_and_no_further(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            client = Client(store)
            first = await client.ask("one", "1")
            for number in range(MOST_BEGINNINGS):
                asked = client.says(f"question {number}").messages
                client.messages = (*asked, Message("assistant", f"of somebody else {number}"))
            assert await client.finds() == first
            client.messages = (*client.says("one more").messages, Message("assistant", "too far"))
            assert await client.finds() is None

    asyncio.run(main())


def test_a_beginning_that_only_sounds_alike_is_no_beginning(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            await Client(store).ask("hi", "Hello!")
            other = Client(store, messages=(Message("user", "hi"), Message("assistant", "Hey!")))
            assert await other.finds() is not None  # nobody else has said that, and the client may have edited it
            other.messages = (*other.says("how are you?").messages, Message("assistant", "Well."))
            assert await other.finds() is None

    asyncio.run(main())


def test_a_tool_loop_is_a_chain_of_turns(where: Where) -> None:
    async def main() -> None:
        asked = (Message("user", "weather?"),)
        call = Message("assistant", "", {"tool_calls": [{"id": "x", "function": {"name": "f", "arguments": "{}"}}]})
        async with where.open() as store:
            first = await store.conversations.remember(Transcript(asked), call, "r1", {})
            told = Transcript((*asked, call, Message("tool", "rain", {"tool_call_id": "x"})))
            assert await store.conversations.last(told) == first

    asyncio.run(main())


def test_an_explicit_id_wins_over_the_messages(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            named = Client(store, "trip")
            first = await named.ask("one", "1")
            assert (first.conversation, first.number) == ("trip", 1)
            named.messages = ()
            second = await named.ask("only the newest message", "2")
            assert (second.conversation, second.number, second.parent) == ("trip", 2, first.id)
            named.messages = (Message("user", "a summary"), Message("assistant", "of it all"))
            assert await named.finds() == second
            other = Client(store, "other trip", messages=named.messages)
            assert await other.finds() is None

    asyncio.run(main())


def test_in_a_conversation_with_an_id_the_messages_say_which_branch(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            client = Client(store, "trip")
            root = await client.ask("one", "1")
            again, edited = replace(client), replace(client)
            left, right = await client.ask("two", "a"), await again.ask("two", "b")
            newest = await edited.ask("TWO", "c")
            assert left.parent == right.parent == newest.parent == root.id
            assert await client.finds() == left
            client.alter(-1, "altered")
            assert await client.finds() == right  # the newest with these words
            client.alter(0, "altered too")
            assert await client.finds() == newest

    asyncio.run(main())


def test_a_conversation_with_an_id_is_found_by_nothing_else(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            client = Client(store, "trip")
            await client.ask("one", "1")
            client.conversation = None
            assert await client.finds() is None
            first = await client.ask("two", "2")  # that one is given an id by the store
            client.conversation, client.messages = first.conversation, ()
            assert await client.finds() == first

    asyncio.run(main())


def test_scopes_see_nothing_of_each_other(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            client = Client(store, scope="ann")
            mine = await client.ask("one", "1")
            client.scope = "bob"
            assert await client.finds() is None
            client.conversation = mine.conversation
            assert await client.finds() is None
            assert not await store.conversations.forget(mine.conversation, "bob")
            stolen = replace(client.says("two"), conversation=None)
            assert await store.conversations.remember(stolen, Message("assistant", "2"), "r", {}, mine) is None
            trip = Client(store, "trip", "ann"), Client(store, "trip", "bob")
            assert [(await one.ask("one", "1")).number for one in trip] == [1, 1]

    asyncio.run(main())


def test_a_run_is_remembered_once(where: Where) -> None:
    async def main() -> None:
        asked, answer = Transcript((Message("user", "one"),)), Message("assistant", "1")
        async with where.open() as store:
            first = await store.conversations.remember(asked, answer, "r1", {"a": 1})
            assert first is not None
            assert await store.conversations.remember(asked, answer, "r1", {"a": 2}) == first
            turns = await asyncio.gather(
                *(store.conversations.remember(asked, answer, "r2", {"a": i}, first) for i in range(5))
            )
            assert len({turn.id for turn in turns if turn}) == 1
            assert len(turns) == 5
        assert await where.has(conversation=1, turn=2)

    asyncio.run(main())


def test_turns_that_end_at_once_are_all_kept(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            client = Client(store, "trip")
            root = await client.ask("one", "1")
            turns = await asyncio.gather(
                *(
                    store.conversations.remember(
                        client.says("two"), Message("assistant", f"a{i}"), f"r{i}", {"i": i}, root
                    )
                    for i in range(20)
                )
            )
            assert {(turn.parent, turn.state["i"]) for turn in turns if turn} == {(root.id, i) for i in range(20)}
            firsts = await asyncio.gather(*(Client(store, "other trip").ask("one", str(i)) for i in range(5)))
            assert {turn.conversation for turn in firsts} == {"other trip"}
        assert await where.has(turn=26, conversation=2)

    asyncio.run(main())


@pytest.mark.parametrize("name", [None, "trip"])
def test_a_forgotten_conversation_is_gone_and_does_not_come_back(where: Where, name: str | None) -> None:
    async def main() -> None:
        async with where.open() as store:
            client, other = Client(store, name), Client(store, name)
            await client.ask("one", "1")
            last = await client.ask("two", "2")
            assert await store.conversations.forget(last.conversation)
            assert not await store.conversations.forget(last.conversation)
            assert await client.finds() is None
            # The next turn anywhere must not be taken for the forgotten one, whose answer was still being written.
            kept = [await other.ask("one", "1") for _ in range(3)]
            late = client.says("three")
            assert await store.conversations.remember(late, Message("assistant", "3"), "late", {}, last) is None
            assert await other.finds() == kept[-1]
        assert await where.has(conversation=1, turn=3)

    asyncio.run(main())


def test_what_is_older_than_the_days_to_keep_is_neither_found_nor_kept(url: str) -> None:
    async def main() -> None:
        now = [1_000_000_000.0]
        database = Database(Secret(url), keep_days=2.0, clock=lambda: now[0])
        async with database.open() as store:
            old, live = Client(store), Client(store, "trip")
            await old.ask("one", "1")
            await live.ask("one", "1")
            now[0] += 1.5 * DAY_S
            second = await live.ask("two", "2")
            now[0] += 1.0 * DAY_S
            assert await old.finds() is None
            assert await live.finds() == second  # kept as long as it goes on
            assert (await live.ask("three", "3")).number == 3
            assert await count(url, "conversation") == 1
            now[0] += 3.0 * DAY_S
            anew = await live.ask("four", "4")
            assert (anew.number, anew.parent) == (1, None)
            assert await count(url, "turn") == 1
            now[0] += 3.0 * DAY_S
        async with database.open():
            assert await count(url, "turn") == 0

    asyncio.run(main())


def test_infinitely_many_days_keep_everything(url: str) -> None:
    async def main() -> None:
        now = [1_000_000_000.0]
        async with Database(Secret(url), keep_days=float("inf"), clock=lambda: now[0]).open() as store:
            client = Client(store)
            first = await client.ask("one", "1")
            now[0] += 10_000 * DAY_S
            assert await client.finds() == first

    asyncio.run(main())


def test_off_writes_nothing_and_reads_nothing(url: str) -> None:
    async def main() -> None:
        async with Database.at(url).open() as store:
            client = Client(store)
            await client.ask("one", "1")
        async with Database.at(url, keep_days=None, keep_texts=True).open() as store:
            asked = client.says("two")
            assert await store.conversations.last(asked) is None
            assert await store.conversations.remember(asked, Message("assistant", "2"), "r", {}) is None
            await store.records.update("policy", "x", lambda _: 1)  # these are no conversation's
        assert await count(url, "turn") == 1
        assert await count(url, "conversation") == 1

    asyncio.run(main())


def test_texts_are_kept_only_where_asked(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "store.db"
        async with Database.at(str(file)).open() as store:
            turn = await Client(store).ask("my darkest secret", "your answer")
            assert (turn.question, turn.answer) == (None, None)
        assert not found("darkest", tmp_path)
        assert not found("your answer", tmp_path)
        async with Database.at(str(file), keep_texts=True).open() as store:
            turn = await Client(store).ask("my darkest secret", "your answer")
            assert (turn.question, turn.answer) == ("my darkest secret", "your answer")
            assert found("darkest", tmp_path)
            assert await store.conversations.forget(turn.conversation)
            assert not found("darkest", tmp_path)  # not in the file, and not in the log beside it

    asyncio.run(main())


@pytest.mark.parametrize("text", ["日本 🦙", "\0", "\ud83d", "", "x" * MAX_TEXT_BYTES], ids=lambda t: repr(t)[:12])
def test_every_text_can_be_kept_and_one_that_is_too_long_is_not(url: str, text: str) -> None:
    async def main() -> None:
        async with Database.at(url, keep_texts=True).open() as store:
            turn = await Client(store).ask(text, text, {"text": text[:1000]})
            assert turn.question == turn.answer == (None if len(text) == MAX_TEXT_BYTES else text)
            assert turn.state == {"text": text[:1000]}

    asyncio.run(main())


@pytest.mark.parametrize("state", [{"x": "x" * MAX_STATE_BYTES}, {"x": float("nan")}, {"x": object()}])
def test_a_state_that_cannot_be_kept_is_refused(where: Where, state: dict[str, Any]) -> None:
    async def main() -> None:
        async with where.open() as store:
            with pytest.raises(StoreError, match=r"the state of the turn that .* cannot be kept"):
                await Client(store).ask("one", "1", state)
        assert await where.has(conversation=0)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["", "a\0b", "\ud83d", "x" * 201], ids=["empty", "nul", "half", "long"])
def test_an_id_that_no_database_can_hold_is_refused(where: Where, name: str) -> None:
    async def main() -> None:
        async with where.open() as store:
            with pytest.raises(ConfigError, match="a conversation's id"):
                await Client(store, name).finds()
            with pytest.raises(ConfigError, match="a conversation's id"):
                await store.conversations.forget(name)
            with pytest.raises(ConfigError, match="a run's id"):
                await store.conversations.remember(Transcript(()), Message("assistant", ""), name, {})

    asyncio.run(main())


def test_a_turn_of_another_conversation_is_refused(where: Where) -> None:
    async def main() -> None:
        async with where.open() as store:
            turn = await Client(store).ask("one", "1")
            with pytest.raises(ConfigError, match="'trip' cannot go on from a turn of"):
                await store.conversations.remember(
                    Client(store, "trip").says("two"), Message("assistant", "2"), "r", {}, turn
                )

    asyncio.run(main())


def found(text: str, folder: Path) -> bool:
    """True when any file of the database holds `text`."""
    return any(text.encode() in file.read_bytes() for file in folder.iterdir())
