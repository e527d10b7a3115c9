#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""words.py ACTIONS REMEDIES PAGE: do the command and its documents agree?

ACTIONS is what "cowprotect --actions" prints, REMEDIES every step of every remedy,
PAGE the man page.  The page has every action, option and operand, and none that is
not there; a remedy names no command, option or operand that there is not.
"""
import re
import sys

failed = False


def judge(what, wrong):
    global failed
    for line in sorted(wrong):
        print("#\t" + line)
    print(("not ok - " if wrong else "ok - ") + what)
    failed = failed or bool(wrong)


def read(path):
    with open(path, encoding="utf-8") as opened:
        return opened.read()


def actions_of(text):
    """action -> (operands, options)"""
    found = {}
    for line in text.splitlines():
        name, operands, options = line.split(";")
        found[name] = (operands.split(), set(options.split()) - {"--help"})
    return found


def plain(page):
    """The page without the marks of roff"""
    text = re.sub(r"\\f[A-Z]", "", page)
    return text.replace("\\-", "-").replace("\\&", "").replace("\\(aq", "'").replace("\\", "")


def sections(page, actions):
    """action -> the page's text about it: from its line to the next action's"""
    starts = []
    for match in re.finditer(r"^\\fB([a-z\\-]+)\\fR", page, re.M):
        name = plain(match.group(1))
        if name in actions:
            starts.append((match.start(), name))
    found = {}
    for (start, name), (end, _) in zip(starts, starts[1:] + [(len(page), "")]):
        found.setdefault(name, plain(page[start:end]))
    return found


def check_page(actions, page):
    body = page[page.index("MAKING A VOLUME"):page.index("EXIT STATUS")]
    found = sections(body, actions)
    judge("man page: every action",
          [f"the page lacks {name}" for name in set(actions) - set(found)])
    for name, text in found.items():
        operands, options = actions[name]
        documented = set(re.findall(r"--[a-z-]+", text))
        wanted = {option.rstrip("=") for option in options}
        wrong = [f"the page lacks {option}" for option in wanted - documented]
        others = {option.rstrip("=") for _, known in actions.values() for option in known}
        wrong += [f"there is no {option}" for option in documented - others]
        first = text.splitlines()[0]
        wrong += [f"the page's first line lacks {word}" for operand in operands
                  for word in re.findall(r"[A-Za-z]+", operand) if word not in first]
        judge(f"man page: {name}", wrong)


def check_command(words, actions):
    """A command line of a remedy: NAME is the volume, "data", DEVICE is a device"""
    if not words or words[0] not in actions:
        yield f"there is no action '{words[0] if words else ''}'"
        return
    operands, options = actions[words[0]]
    given = [word for word in words[1:] if not word.startswith("--")]
    for word in words[1:]:
        if word.startswith("--") and word not in options:
            yield f"{words[0]} has no option {word}"
    least = len([word for word in operands if not word.startswith("[")])
    if not least <= len(given) <= max(least, len(operands)):
        yield f"{' '.join(words)}: takes {' '.join(operands)}"


def check_remedies(actions, remedies):
    wrong, count = [], 0
    for line in remedies.splitlines():
        for command in re.findall(r"cowprotect ([a-z][^,;)]*)", line):
            count += 1
            wrong += [f"{line}: {what}" for what in check_command(command.split(), actions)]
    if count < 10:
        wrong.append("none found: see how they are looked for")
    judge("remedies name commands that there are", wrong)


def main():
    actions = actions_of(read(sys.argv[1]))
    check_page(actions, read(sys.argv[3]))
    check_remedies(actions, read(sys.argv[2]))


main()
sys.exit(failed)
