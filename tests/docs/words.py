#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Hold documents and code together, without running anything.

What the contract has (options, messages, words) is in the administrator's guide
and the other way round; mutants, KUnit cases, functions and files that a document
names are there, and no mutant or suite is left unnamed; reStructuredText is
well-formed.  A line "ok - ..." or, behind what is missing, "not ok - ..." for each.
"""
import glob
import os
import re
import sys

import docutils.core
import docutils.utils

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GUIDE = "Documentation/admin-guide/dm-cowprotect.rst"
OPERATION = "Documentation/admin-guide/operation.rst"
BOOT = "Documentation/admin-guide/boot.rst"
DESIGN = "Documentation/design.rst"
DOCUMENTS = ["README.md", "Documentation/testing.rst", "tests/sim/README.rst",
             "Documentation/benchmarks.rst", GUIDE, OPERATION, BOOT, DESIGN]
# Where a bare file name in a document may be
FOLDERS = ["dm-cowprotect", "dm-cowprotect/engine", "include", "tests/vm", "tests/kunit",
           "tests/sim", "userspace", "scripts", "Documentation"]

failed = False


def text(path):
    with open(os.path.join(TREE, path), encoding="utf-8") as opened:
        return opened.read()


def judge(what, wrong):
    global failed
    for line in sorted(wrong):
        print("#\t" + line)
    print(("not ok - " if wrong else "ok - ") + what)
    failed = failed or bool(wrong)


def section(document, title, underline="="):
    """The text from a heading to the next of its kind"""
    found = re.search(r"^%s\n%s+\n(.*?)(?=^[^\n]+\n%s{3,}\n|\Z)" %
                      (re.escape(title), underline, underline), text(document), re.M | re.S)
    return found.group(1) if found else ""


def both_ways(what, code, document):
    """Sets of words that must be equal"""
    wrong = ["the document lacks '%s'" % word for word in code - document]
    wrong += ["the code lacks '%s'" % word for word in document - code]
    if not code:
        wrong.append("none found in the code: see how they are looked for")
    judge(what, wrong)


def x_macro(name):
    """The words of a list in cowprotect_words.h"""
    body = re.search(r"#define %s\(X\)(.*?)\n\n" % name,
                     text("include/cowprotect_words.h"), re.S).group(1)
    return set(re.findall(r'X\(\w+,\s*"([^"]+)"', body))


def first_column(table):
    """Words that begin a row of a simple table"""
    return set(re.findall(r"^ ([a-z][a-z_-]*)(?= |$)", table, re.M))


def check_contract():
    options = re.search(r"options\[\] = \{(.*?)\n\};", text("dm-cowprotect/table-line.c"),
                        re.S).group(1)
    documented = section(GUIDE, "Live volumes")
    documented = first_column(documented[documented.index("Options are words"):])
    both_ways("options", set(re.findall(r'\{ "(\w+)"', options)), documented)

    messages = re.search(r"messages\[\] = \{(.*?)\n\};", text("dm-cowprotect/message.c"),
                         re.S).group(1)
    documented = re.findall(r"^([a-z_]+)(?: [^\n]*)?\n  ", section(GUIDE, "Messages"), re.M)
    both_ways("messages", set(re.findall(r'\{ "(\w+)"', messages)), set(documented))

    both_ways("states", x_macro("COWP_STATES"),
              first_column(section(GUIDE, "States").split(" Mode ")[0]))
    both_ways("faults", x_macro("COWP_FAULTS"), first_column(section(GUIDE, "Faults")))
    both_ways("faults for the operator", x_macro("COWP_FAULTS") - {"none"},
              first_column(section(OPERATION, "When a volume stops")))
    modes = set(re.findall(r"^\*(\w+) mode\*", text(GUIDE), re.M))
    both_ways("modes", x_macro("COWP_MODES"), modes)

    errors = set(re.findall(r"case -(E\w+):", text("dm-cowprotect/message.c")))
    explained = set(re.findall(r"^ -(E\w+) ", section(GUIDE, "Messages"), re.M))
    judge("errors that have a reason are in the guide",
          ["the guide lacks -%s" % error for error in errors - explained])


def check_reserved():
    """Fault words that no code of the engine gives to a volume"""
    engine = "".join(text(os.path.relpath(path, TREE)) for path in
                     glob.glob(os.path.join(TREE, "dm-cowprotect/engine/*.c")))
    code = dict(re.findall(r'X\((\w+), "([a-z-]+)"', text("include/cowprotect_words.h")))
    raised = {word for name, word in code.items()
              if re.search(r"(?<![!=]= )COWP_FAULT_%s\b" % name, engine)}
    rows = re.findall(r"^ ([a-z-]+) +(\w+)", section(GUIDE, "Faults"), re.M)
    both_ways("reserved faults", set(code.values()) - raised,
              {word for word, first in rows if first == "Reserved"})


def check_phases():
    body = re.search(r"#define COWP_PHASES\(X\)(.*?)\n\n",
                     text("dm-cowprotect/engine/protect.h"), re.S).group(1)
    code = {"%s %s" % (phase, state.lower()) for phase, state in re.findall(r"X\((\w+),\s*(\w+)\)", body)}
    table = section(DESIGN, "Protection").split("The moves that matter")[0]
    both_ways("phases and their states", code,
              {"%s %s" % row for row in re.findall(r"^ ([A-Z_]+) +([a-z]+) ", table, re.M)})


def check_status():
    order = re.search(r"^\t*   <mode> .*?<mark>", section(GUIDE, "Status"), re.M | re.S).group(0)
    order = re.findall(r"<([^>]+)>", order)
    code = re.search(r"\*\tmode state.*?mark\n", text("dm-cowprotect/status.c"), re.S).group(0)
    code = re.split(r"[\s/*]+", code.strip("* \t\n"))
    judge("the status line's words, in order",
          [] if [word.replace(" ", "-") for word in order] == code
          else ["guide: " + " ".join(order), "code:  " + " ".join(code)])


def check_tests():
    mutants = {os.path.basename(path)[:-len(".patch")]
               for path in glob.glob(os.path.join(TREE, "tests/sim/mutants/*.patch"))}
    rules = section(DESIGN, "Rules and their tests")
    both_ways("mutants", mutants, set(re.findall(r"``([a-z]+(?:-[a-z]+)+)``", rules)) -
              {"cowprotect-"})

    cases = {}
    for path in glob.glob(os.path.join(TREE, "tests/kunit/*-test.c")):
        source = text(path)
        suite = re.search(r'\.name = "cowprotect-(\w+)"', source).group(1)
        cases[suite] = set(re.findall(r"KUNIT_CASE(?:_PARAM)?\((\w+)", source))
    named = re.findall(r"``(\w+)\.(\w+)``", rules)
    wrong = ["there is no case %s.%s" % (suite, case) for suite, case in named
             if (suite, case) != ("suite", "case") and case not in cases.get(suite, ())]
    wrong += ["no rule is tested by suite %s" % suite
              for suite in set(cases) - {suite for suite, _ in named}]
    judge("KUnit suites and cases", wrong)

    scripts = {os.path.basename(path) for path in glob.glob(os.path.join(TREE, "tests/vm/test-*.sh"))}
    judge("tests in virtual machines that are named",
          ["there is no tests/vm/%s" % name
           for name in set(re.findall(r"test-\w+\.sh", rules)) - scripts])


def exists(name, document):
    name = name.rstrip("/.")
    places = [name, os.path.join(os.path.dirname(document), name)]
    if "/" not in name:
        places += [os.path.join(folder, name) for folder in FOLDERS]
    return any(glob.glob(os.path.join(TREE, place)) for place in places)


def check_files():
    top = "dm-cowprotect|include|userspace|tests|scripts|Documentation"
    path = re.compile(r"(?<![\w/.~-])(?:%s)/[\w./*-]+" % top)
    bare = re.compile(r"(?<![\w/.*-])[a-z][\w-]*\.(?:c|h|sh|rst|py)\b")
    for document in DOCUMENTS:
        # What a build makes is not there; a name that stands for many is none
        names = set(path.findall(text(document)))
        if document in (DESIGN, GUIDE):
            names |= set(bare.findall(text(document)))
        judge("files named in " + document,
              ["there is no " + name for name in names if not exists(name, document)])


def check_functions():
    sources = "".join(text(path) for path in
                      glob.glob(os.path.join(TREE, "dm-cowprotect/**/*.[ch]"), recursive=True))
    # The kernel's own are not ours to find; they are called, so they are there too
    judge("functions named in " + DESIGN,
          ["there is no %s()" % name for name in set(re.findall(r"\b([a-z_]+)\(\)", text(DESIGN)))
           if not re.search(r"\b%s\(" % name, sources)])


def check_make():
    targets = set(re.findall(r"^([\w-]+):", text("Makefile"), re.M))
    for document in ("README.md", DESIGN):
        judge("make targets named in " + document,
              ["there is no make " + name for name in
               set(re.findall(r"\bmake ([a-z][\w-]*)", text(document))) - targets])


def check_markup():
    for document in DOCUMENTS:
        if not document.endswith(".rst"):
            continue
        wrong = []
        stream = type("Lines", (), {"write": lambda self, line: wrong.append(line.strip())})()
        try:
            docutils.core.publish_doctree(
                text(document), source_path=document,
                settings_overrides={"warning_stream": stream, "report_level": 2})
        except docutils.utils.SystemMessage as error:
            wrong.append(str(error))
        judge("markup of " + document, wrong)


check_contract()
check_reserved()
check_phases()
check_status()
check_tests()
check_files()
check_functions()
check_make()
check_markup()
sys.exit(failed)
