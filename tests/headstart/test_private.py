"""Passwords, tokens and paths are taken out of texts, and nothing else is."""

from __future__ import annotations

import pytest

from headstart.private import publishable, without_paths, without_secrets

SECRET = "s3cr3tValue0123456789"
WITH_SECRET = (
    f"https://user:{SECRET}@example.org/x.git", f"https://{SECRET}@example.org",
    f"ssh://me:{SECRET}@host/x", f"git clone https://me:p@ss{SECRET}@example.org/x",
    f"--set data.source=https://u:{SECRET}@example.org/a.tgz",
    f"https://example.org/a.tgz?token={SECRET}", f"https://example.org/a?x=1&sig={SECRET}&y=2",
    f"https://s3.example.org/a?X-Amz-Signature={SECRET}&X-Amz-Credential={SECRET}",
    f"--hf-token {SECRET}", f"--token={SECRET}", f"--password '{SECRET}'", f"API_KEY={SECRET}",
    f'{{"token": "{SECRET}"}}', f"wandb_api_key: {SECRET}", f"PASSWORD : {SECRET}",
    f"Authorization: Bearer {SECRET}", f"authorization: basic {SECRET}", f"ghp_{SECRET}",
    f"hf_{SECRET}", f"github_pat_{SECRET}", f"glpat-{SECRET}", f"sk-{SECRET}",
    f"aws_secret_access_key={SECRET}", f"--client-secret {SECRET}", f"'secret': '{SECRET}'",
    f"eyJhbGciOi.{SECRET}.{SECRET}",
)  # fmt: skip
HARMLESS = (
    "python -m harness.sweep sweeps/part2.yaml --profile quick", "n_tokens: 512", "token: null",
    "https://example.org/a.tgz", "me@example.org", "a token of this kind is long",
    "git@example.org:me/x.git", "key: value", "monkey=1", "author: somebody", "tokens=1,024",
    "sigma=0.1", "signature of f(x)", "password: $PASSWORD", "the secret: none",
    "0123456789abcdef0123456789abcdef01234567", "learning_rate=1e-3&x=2",
    "basic pretraining", "Basic Pretraining of digits", "the bearer understands",
)  # fmt: skip


@pytest.mark.parametrize("text", WITH_SECRET)
def test_a_secret_is_taken_out(text):
    cleaned = without_secrets(text)
    assert SECRET not in cleaned
    assert "0123456789" not in cleaned
    assert "***" in cleaned


def test_a_token_in_its_header_is_taken_out_though_it_looks_like_a_word():
    assert without_secrets("Authorization: Bearer opaquewords") == "Authorization: Bearer ***"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "PASSWD"])
def test_the_value_of_a_secret_variable_is_taken_out_wherever_it_stands(monkeypatch, name):
    monkeypatch.setenv(name, "plainword")
    assert without_secrets("error at plainword/x") == "error at ***/x"
    monkeypatch.setenv(name, "abc")
    assert without_secrets("abc") == "abc"


@pytest.mark.parametrize("name", ["HOME", "HEADSTART_DATA", "USER"])
def test_other_variables_are_not_looked_at(monkeypatch, name):
    monkeypatch.setenv(name, "plainword")
    assert without_secrets("plainword") == "plainword"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/me/data/digits", "…/digits"),
        ("python -m harness.sweep /home/me/s.yaml --out /scratch/ann/run/",
         "python -m harness.sweep …/s.yaml --out …/run"),
        ('File "/home/me/headstart/harness/sweep.py", line 3', 'File "…/sweep.py", line 3'),
        ("/home/me", "…"), ("--out=/home/me", "--out=…"), ("/Us" "ers/me/x", "…/x"),
        ("/root", "…"), ("/ro" "ot/x", "…/x"), ("--out /run7", "--out …/run7"),
        ("/home/me/My Data/x.png: damaged", "…/My Data/x.png: damaged"),
        ("C:\\Users\\me\\x.yaml", "…/x.yaml"), ("file:///home/me/x", "…/x"),
        ("(/home/me/a, /home/me/b)", "(…/a, …/b)"), ("path: /data", "path: …/data"),
    ],
)  # fmt: skip
def test_paths_lose_where_they_lie(text, expected):
    assert without_paths(text) == expected


@pytest.mark.parametrize(
    "text",
    ["sweeps/part2.yaml", "./x/y", "../x/y", "~/x", "https://example.org/a/b", "and/or", "1/2",
     "images/s", "a / b", "12.5 % / 3 %", "/s", "<b>x</b>", "k/N"],
)  # fmt: skip
def test_what_is_no_absolute_path_stays(text):
    assert without_paths(text) == text


def test_a_record_is_cleaned_all_through():
    record = {
        "command": f"x --token {SECRET} /home/me/a.yaml", "n": 3, "none": None,
        "list": ["/home/me/b", {"deep": f"https://u:{SECRET}@example.org"}], "/home/me/c": 1,
    }  # fmt: skip
    assert publishable(record) == {
        "command": "x --token *** …/a.yaml", "n": 3, "none": None,
        "list": ["…/b", {"deep": "https://***@example.org"}], "…/c": 1,
    }  # fmt: skip


@pytest.mark.timeout(120)  # a pattern that looks at each letter again takes many minutes
@pytest.mark.parametrize(
    "text",
    [
        "a",
        "/a",
        "token=",
        "key=a ",
        "http://a:",
        "/",
        ".",
        "-",
        "_",
        "-eyJaaaa",
        "my_secret_",
        "--a",
    ],
)
def test_a_long_text_takes_no_longer_for_each_letter(text: str) -> None:
    assert isinstance(without_secrets(text * 50_000), str)
    assert isinstance(without_paths(text * 50_000), str)
