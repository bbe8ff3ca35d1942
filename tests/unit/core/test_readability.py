"""What hardly anybody could read is found; code, logs, hashes and every script are left alone."""

from __future__ import annotations

import base64
import hashlib
import random
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.core.readability import unreadable

CHANCE = random.Random(3)
ROOT = Path(__file__).parents[3]

UNREADABLE = [
    (base64.b64encode(CHANCE.randbytes(900)).decode(), "without a space"),
    ("here it is: " + CHANCE.randbytes(400).hex(), "without a space"),
    ("".join(char + "\u0337\u0308\u0323" for char in "hello there agent"), "marks piled"),
    ("∴→⊕ ≡≡ ⟂∂ ⊗→∴ " * 10, "hardly any letters"),
    ("tick tock " * 60, "over and over"),
    (
        " ".join("".join(CHANCE.choice("bcdfghjklmnpqrstvwxz") for _ in range(6)) for _ in range(40)),
        "any language",
    ),
    ("\U000e0041\u200b\u2063" * 30 + "hi", "show nothing"),
]


@pytest.mark.parametrize(("text", "why"), UNREADABLE, ids=[why for _, why in UNREADABLE])
def test_it_is_told_why(text: str, why: str) -> None:
    found = unreadable(text)
    assert found is not None
    assert why in found


READABLE = [
    "",
    "ok",
    "is the build green? I see red on main since 10:42, and nobody has said why. @arthur, can you look?",
    "\n".join(hashlib.sha256(bytes([n])).hexdigest() for n in range(40)),
    "\n".join(f"{uuid.UUID(int=CHANCE.getrandbits(128))}  ok  {n * 7} ms" for n in range(40)),
    "\n".join(f"2026-11-22T10:00:{n:02}Z INFO GET /api/v1/things/{n} 200 {n}ms" for n in range(60)),
    "| name | size | when |\n|---|---|---|\n"
    + "\n".join(f"| file{n}.txt | {n * 1024} | today |" for n in range(20)),
    "检查一下这个构建为什么失败了，日志里说找不到文件，请在今天下班之前告诉我们结果，谢谢大家的帮助。" * 4,
    "ビルドが失敗した理由を確認してください。ログにはファイルが見つからないと書かれています。よろしくお願いします。"
    * 3,
    "กรุณาตรวจสอบว่าทำไมการสร้างถึงล้มเหลว บันทึกระบุว่าไม่พบไฟล์ โปรดแจ้งให้เราทราบก่อนเลิกงานวันนี้ ขอบคุณ" * 2,
    "बिल्ड क्यों विफल हुआ, कृपया जाँच करें। लॉग कहता है कि फ़ाइल नहीं मिली। आज शाम से पहले हमें बताएं, धन्यवाद।" * 2,
    "אנא בדקו מדוע הבנייה נכשלה. ביומן כתוב שהקובץ לא נמצא. ספרו לנו לפני סוף היום, תודה רבה לכולם על העזרה."
    * 2,
    "Zkontroluj prosím, proč sestavení selhalo: čtvrt hodiny trčí, smrt, krk, prst, vlk, srp, strč prst skrz krk.",
    "see https://example.org/"
    + "a-very-long-path-with-words/" * 4
    + "  which tells all of it, and more besides",
    "🎉🎉🎉 well done everybody, the release is out! 🚀",
]


@pytest.mark.parametrize("text", READABLE, ids=[f"{n}-{text[:12]}" for n, text in enumerate(READABLE)])
def test_these_are_left_alone(text: str) -> None:
    assert unreadable(text) is None


def test_so_are_the_projects_own_files() -> None:
    for path in [*ROOT.glob("docs/*.md"), *ROOT.glob("maw/core/*.py"), ROOT / "pyproject.toml"]:
        text = path.read_text(encoding="utf-8")
        found = [why for at in range(0, len(text), 3000) if (why := unreadable(text[at : at + 3000]))]
        assert not found, (path, found)


@given(st.text(max_size=400))
def test_nothing_is_raised(text: str) -> None:
    assert unreadable(text) is None or len(text) > 8
