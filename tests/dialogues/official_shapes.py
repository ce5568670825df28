"""A small file of every format that is read, written for these tests in the shape of the published ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

STORY = "Ann has a red boat. She sails it on Lake Como."
COQA: dict[str, Any] = {
    "version": "1.0",
    "data": [
        {
            "source": "mctest",
            "id": "3dr23",
            "filename": "mc160.test.41",
            "story": STORY,
            "questions": [
                {"input_text": "What does Ann have?", "turn_id": 1},
                {"input_text": "Of what colour?", "turn_id": 2},
                {"input_text": "How old is it?", "turn_id": 3},
            ],
            "answers": [
                {"span_start": 8, "span_end": 18, "span_text": "a red boat", "input_text": "a boat", "turn_id": 1},
                {"span_start": 10, "span_end": 13, "span_text": "red", "input_text": "red ", "turn_id": 2},
                {"span_start": -1, "span_end": -1, "span_text": "unknown", "input_text": "unknown", "turn_id": 3},
            ],
            "additional_answers": {
                "0": [
                    {"span_text": "a red boat", "input_text": "a red boat", "turn_id": 1},
                    {"span_text": "red", "input_text": "red", "turn_id": 2},
                    {"span_text": "unknown", "input_text": "unknown", "turn_id": 3},
                ],
                "1": [
                    {"span_text": "boat", "input_text": "", "turn_id": 1},
                    {"span_text": "She sails it", "input_text": "It’s old", "turn_id": 3},
                ],
            },
            "name": "mc160.test.41",
        }
    ],
}


def _span(text: str) -> dict[str, Any]:
    return {"text": text, "answer_start": 0}


QUAC: dict[str, Any] = {
    "data": [
        {
            "title": "Anna Vissi",
            "section_title": "1983-1989",
            "background": "Anna Vissi is a singer.",
            "paragraphs": [
                {
                    "id": "C_5ab_1",
                    "context": "In May 1983, she married Nikos Karvelas. CANNOTANSWER",
                    "qas": [
                        {
                            "id": "C_5ab_1_q#0",
                            "question": "what happened in 1983?",
                            "followup": "y",
                            "yesno": "x",
                            "answers": [_span("she married"), _span("In May 1983, she married Nikos Karvelas.")],
                            "orig_answer": _span("In May 1983, she married Nikos Karvelas."),
                        },
                        {
                            "id": "C_5ab_1_q#1",
                            "question": "did they have children?",
                            "followup": "m",
                            "yesno": "x",
                            "answers": [_span("CANNOTANSWER"), _span("CANNOTANSWER"), _span("she married")],
                            "orig_answer": _span("CANNOTANSWER"),
                        },
                    ],
                }
            ],
        }
    ]
}

DOQA: dict[str, Any] = {
    "data": [
        {
            "title": "How do I keep a cake soft?",
            "background": "I mix the batter for long, and it hardens.",
            "paragraphs": [
                {
                    "id": "C_64c",
                    "context": "Mix it less, since gluten hardens. CANNOTANSWER",
                    "qas": [
                        {
                            "id": "C_64c_q#0",
                            "question": "What should I do?",
                            "followup": "n",
                            "yesno": "x",
                            "answers": [_span("Mix it less")],
                            "orig_answer": _span("Mix it less"),
                        }
                    ],
                }
            ],
        }
    ]
}

CONVQUESTIONS: list[dict[str, Any]] = [
    {
        "conv_id": 6722,
        "domain": "books",
        "seed_entity": "https://www.wikidata.org/wiki/Q2661615",
        "seed_entity_text": "Eat, Pray, Love",
        "questions": [
            {
                "turn": 0,
                "question": "Where does she travel?",
                "answer": "https://www.wikidata.org/wiki/Q38;https://www.wikidata.org/wiki/Q668",
                "answer_text": "Italy;India",
            },
            {"turn": 1, "question": "What anime does she like?", "answer": "n/a", "answer_text": "Steins;Gate"},
            {"turn": 2, "question": "Published when?", "answer": "2006", "answer_text": 2006},
        ],
    }
]

VERBAL: list[dict[str, Any]] = [
    {
        **CONVQUESTIONS[0],
        "questions": [
            {
                **CONVQUESTIONS[0]["questions"][0],
                "question_id": "6722-0",
                "paraphrased_question": ["Where is she going?"],
                "verbalized_answer": "She travels to [Italy;India].",
                "paraphrased_answer": [" [Italy;India] is where she goes.", "She goes to Rome.", ""],
            }
        ],
    }
]

ATLAS: list[dict[str, Any]] = [
    {
        "id": "1",
        "conversations": [
            {"from": "AI", "value": "Welcome!"},
            {"from": "user", "value": "What is applied anthropology?"},
            {"from": "AI", "value": "Anthropology that is put to use."},
            {"from": "User", "value": "I see."},
            {"from": "user", "value": "By whom?"},
            {"from": "ai", "value": "By many:"},
            {"from": "AI", "value": "hospitals, firms."},
            {"from": "user", "value": "Thank you."},
        ],
    },
    {"id": "2", "conversations": [{"from": "user", "value": "Is anybody there?"}]},
]

INSCIT: dict[str, Any] = {
    "food_1": {
        "seedArticle": {"title": "Cheese", "topic": "food", "level": 1},
        "turns": [
            {
                "context": ["Is it made of soy?"],
                "prevEvidence": [],
                "labels": [
                    {
                        "responseType": "clarification",
                        "response": "Which one?",
                        "evidence": [
                            {"passage_id": "Cheese:1", "passage_text": "Cheese is old.", "passage_titles": []}
                        ],
                    },
                    {
                        "responseType": "directAnswer",
                        "response": "Some is.",
                        "evidence": [
                            {"passage_id": "Cheese:1", "passage_text": "Cheese is old.", "passage_titles": []},
                            {"passage_id": "Vegan:1", "passage_text": "Some is made of soy.", "passage_titles": []},
                        ],
                    },
                ],
            },
            {
                "context": ["Is it made of soy?", "Some is.", "Since when?"],
                "prevEvidence": [[]],
                "labels": [{"responseType": "noAnswerNoRelevantInfo", "response": "", "evidence": []}],
            },
        ],
    }
}

OWN: dict[str, Any] = {
    "dataset": "mine",
    "conversation_id": "c-1",
    "domain": "boats",
    "source_split": "dev",
    "context": STORY,
    "turns": [
        {"question": "What does Ann have?", "answers": ["a boat", "a red boat"], "evidence": "a red boat"},
        {"question": "Where?", "answers": ["Lake Como"], "verbalized_answers": ["She sails on Lake Como."]},
    ],
}

FILES: dict[str, tuple[str, Any]] = {
    "coqa": ("coqa-dev-v1.0.json", COQA),
    "quac": ("val_v0.2.json", QUAC),
    "doqa": ("doqa-cooking-dev-v2.1.json", DOQA),
    "convquestions": ("dev_set_ALL.json", CONVQUESTIONS),
    "verbal": ("val_books.json", VERBAL),
    "atlas-converse": ("combined-convo.json", ATLAS),
    "inscit": ("dev.json", INSCIT),
    "own": ("own.json", [OWN]),
}
"""By what they are: a name as published, and the content."""


def written(folder: Path, name: str, content: object, *, indent: int | None = None, zipped: bool = False) -> str:
    """A file with that content, and its place."""
    text = json.dumps(content, indent=indent, ensure_ascii=False).encode()
    (folder / name).write_bytes(gzip.compress(text) if zipped else text)
    return str(folder / name)
