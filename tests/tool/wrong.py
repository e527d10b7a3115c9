#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""wrong.py [--show] BIN TABLE: wrong input is refused, in words, and changes nothing.

Each line of TABLE has, between tabs: what it is for (cmd, tab or conf), the exit
status, all that is said on standard error, and the input: a command line's words as a
shell takes them, or a file's content.  In content \\n, \\t and \\r stand for
themselves; in both "FILE" is the file's name, {N*LETTER} N times that letter.  BIN is
where cowprotect, tab and policy are.  It runs in a folder with what the command lines
name: all files of it are summed before and after.

--show prints lines with what is said now, for whoever adds one.
"""
import hashlib
import os
import re
import shlex
import subprocess
import sys

LEAST_CASES = 100
LEAST_ERRORS = 60
FILE = "wrong.in"
KEPT = ("area", "live", "fs", "blank", "small", "text")

passed = failed = 0


def judge(good, what, *details):
    global passed, failed
    print(("ok - " if good else "not ok - ") + what)
    if good:
        passed += 1
        return
    failed += 1
    for detail in details:
        print("    | " + detail)


def sums():
    found = {}
    for name in sorted(os.listdir(".")):
        if os.path.isfile(name) and name != FILE:
            with open(name, "rb") as opened:
                found[name] = (hashlib.file_digest(opened, "sha256").hexdigest()
                               if name in KEPT else os.path.getsize(name))
    return found


def spread(text):
    """{300*x} is 300 times x"""
    return re.sub(r"\{(\d+)\*(.)\}", lambda m: int(m.group(1)) * m.group(2), text)


def run(programs, kind, given):
    given = spread(given)
    if kind == "cmd":
        words = [os.path.join(programs, "cowprotect")] + shlex.split(given)
    else:
        with open(FILE, "w", encoding="utf-8", newline="") as opened:
            opened.write(given.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r"))
        words = [os.path.join(programs, {"tab": "tab", "conf": "policy"}[kind]), FILE]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout, done.stderr.rstrip("\n").replace(FILE, "FILE")


def shape(text):
    """An error without what it is about: quoted words, numbers, actions, files"""
    text = re.sub(r"^cowprotect( [a-z-]+)?: ", "", text)
    text = re.sub(r"cowprotect [a-z-]+ --help", "--help", text)
    text = re.sub(r"'[^']*'", "'...'", text)
    text = re.sub(r"/dev/[a-z/-]+|--[a-z-]+|[A-Za-z|]*[A-Z|]{3,}=?", "X", text)
    text = re.sub(r"\b(nowhere|none|area|live|fs|blank|small|text)\b", "X", text)
    return re.sub(r"\d+", "N", text)


def main():
    show = sys.argv[1] == "--show"
    programs, table = sys.argv[1 + show:]
    before = sums()
    seen = set()
    count = 0
    with open(table, encoding="utf-8") as opened:
        lines = [line.rstrip("\n") for line in opened if line.strip() and line[0] != "#"]
    for line in lines:
        kind, status, text, given = line.split("\t")
        is_status, out, err = run(programs, kind, given)
        if show:
            print("\t".join((kind, str(is_status), err, given)))
            continue
        text = spread(text)
        good = err == text and is_status == int(status) and "\n" not in err
        judge(good, f"wrong {kind}: {given}", f"exit status {is_status}, wanted {status}",
              f"said:   {err}", f"wanted: {text}", *out.splitlines())
        if good:
            count += 1
            seen.add(shape(err))
    if show:
        return
    judge(sums() == before, "no wrong input changes a file")
    judge(count >= LEAST_CASES, f"{count} wrong inputs, {LEAST_CASES} at least")
    judge(len(seen) >= LEAST_ERRORS, f"{len(seen)} different errors, {LEAST_ERRORS} at least")
    if os.environ.get("WRONG_ERRORS"):
        print("\n".join(sorted(seen)))
    print(f"#\t{passed} passed, {failed} failed")


main()
sys.exit(failed > 0)
