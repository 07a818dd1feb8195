"""Recognises shell commands by their shape: a prompt, or a known command with arguments that only a shell would take."""

from __future__ import annotations

import re
import shlex

from eval.asked import Asked

COMMAND = re.compile(
    r"(?:apt|apt-get|awk|brew|cat|cd|chmod|chown|cp|curl|cut|date|dd|df|docker|du|echo|env|export|find|git|grep|gunzip|gzip"
    r"|head|jq|kill|kubectl|less|ln|ls|mail|make|mkdir|mv|node|npm|npx|openssl|pip|pip3|printf|ps|psql|pwd|python|python3|rm"
    r"|rmdir|rsync|scp|sed|sh|sleep|sort|ssh|sudo|systemctl|tail|tar|tee|touch|tr|uniq|unzip|uname|wc|wget|which|whoami"
    r"|xargs|zip)"
)
BARE = frozenset({"ls", "pwd", "date", "whoami", "env", "uname", "ps", "df"})  # commands that stand without an argument
PROMPT = re.compile(r"^[ \t]*\$ +[\w./]", re.MULTILINE)
SHELL_MARK = re.compile(r"(?:^|\s)-{1,2}\w|[/|<>$\"'=*~]|\w\.\w")
MOST_LINES, LONGEST_LINE = 40, 500


def is_shell(text: str, asked: Asked, fenced: bool) -> bool:
    """Whether `text` is shell input: after a prompt, or each of its lines a command, which within a fence needs no shell-like argument."""
    if PROMPT.search(text):
        return True
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()[:MOST_LINES]]
    lines = [line for line in lines if line and not line.startswith("#")]
    return bool(lines) and all(_is_command(line, asked, fenced) for line in lines)


def _is_command(line: str, asked: Asked, fenced: bool) -> bool:
    try:
        words = shlex.split(line[:LONGEST_LINE])
    except ValueError:  # an open quote: cut off, or an apostrophe in prose
        words = line.split()
    if not words:
        return False
    if words[0] in asked.names:
        return any(word.startswith("-") for word in words[1:])
    if not COMMAND.fullmatch(words[0]):
        return False
    rest = line[len(words[0]) :]
    return fenced or bool(SHELL_MARK.search(rest)) if rest else words[0] in BARE
