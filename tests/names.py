#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSL-1.0
"""names.py: what tests and safeguards are named for is in README.md beside this, and the reverse.

    * each number in the name of a test case stands at its end, "(row 14)", and in the register, whose line
      names exactly the files that have such a test; each number of a safeguard is in the register, too
    * each safeguard names a test case that there is, and each folder has its line in the README
    * the line by which a file is left out for ThreadSanitizer is spelt as CMakeLists.txt reads it
"""

import collections
import difflib
import fnmatch
import functools
import importlib.machinery
import importlib.util
import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS / "tools"))
loader = importlib.machinery.SourceFileLoader("safeguards", str(TESTS / "tools" / "safeguards"))
safeguards = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
sys.modules[loader.name] = safeguards
loader.exec_module(safeguards)
read_names = safeguards.names
case_names = safeguards.names = functools.cache(lambda source: tuple(read_names(source)))  # read once

NUMBER = re.compile(r"\b(?:http )?(?:rule|row|gap)s? \d+\b")
AT_THE_END = re.compile(r" \((http row|rule|row|gap)(?:s (\d+) to)? (\d+)\)$")
OF_A_SAFEGUARD = re.compile(r"(rule|row|http_row|http_gap|parked)_(\d+)(?:_|$)")
KINDS = {"http_row": "http row", "http_gap": "gap", "parked": "row"}  # what is parked has the numbers of the rows
LEFT_OUT = "// Not compiled for ThreadSanitizer: "


def sources():
    return sorted(path for path in TESTS.glob("*/*.[ch]pp") if path.parent.name != "safeguards")


def register():
    """Where each number is tested, and what each folder is for, by the tables of README.md."""
    numbers, folders = {}, {}
    for line in (TESTS / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if len(cells) == 3 and NUMBER.fullmatch(cells[0]):
            if cells[0] in numbers:
                raise SystemExit(f"README.md: {cells[0]} has two lines")
            numbers[cells[0]] = re.findall(r"`([^`]+)`", cells[2])
        elif len(cells) == 2 and (folder := re.fullmatch(r"`(\w+)/`", cells[0])):
            folders[folder[1]] = cells[1]
    return numbers, folders


def numbered():
    """The files that have a test case of each number, and what is wrong with names."""
    files, errors = collections.defaultdict(set), []
    for source in sources():
        name_of_file = str(source.relative_to(TESTS))
        for name in case_names(source):
            rest = name
            if end := AT_THE_END.search(name):
                rest = name[:end.start()]
                for number in range(int(end[2] or end[3]), int(end[3]) + 1):
                    files[f"{end[1]} {number}"].add(name_of_file)
            if wrong := NUMBER.search(rest):
                errors.append(f"{name_of_file}: `{name}`: put ({wrong[0]}) at the end of the name")
    return files, errors


def wrong_numbers(numbers):
    files, errors = numbered()
    yield from errors
    for number in sorted(files.keys() - numbers.keys()):
        yield f"({number}) of {', '.join(sorted(files[number]))} is not in README.md"
    for number, patterns in numbers.items():
        named = {file for file in map(lambda path: str(path.relative_to(TESTS)), sources())
                 if any(fnmatch.fnmatchcase(file, pattern) for pattern in patterns)}
        for file in sorted(files[number] - named):
            yield f"README.md: {number} is tested in {file}, too"
        for file in sorted(named - files[number]):
            yield f"README.md: {file} has no test case whose name ends in ({number})"
        if not named:
            yield f"README.md: {number} names no file"


def wrong_safeguards(numbers):
    for patch in sorted((TESTS / "safeguards").glob("*.patch")):
        if named := OF_A_SAFEGUARD.match(patch.stem):
            number = f"{KINDS.get(named[1], named[1])} {int(named[2])}"
            if number not in numbers:
                yield f"{patch.name}: {number} is not in README.md"
        safeguard = safeguards.read(patch)
        if safeguard.test.startswith("compile_fail/"):
            found = (TESTS / f"{safeguard.test}.cpp").exists()
        else:
            try:
                source = safeguards.source_of(safeguard)
            except safeguards.Broken as broken:
                yield f"{patch.name}: {broken}"
                continue
            pattern = safeguard.test.replace("[", "[[]").lower()
            found = source.exists() and any(fnmatch.fnmatchcase(name.lower(), pattern) for name in case_names(source))
        if not found:
            yield f"{patch.name}: there is no test case `{safeguard.test}`"
        if safeguard.also and not (safeguards.ROOT / safeguard.also).exists():
            yield f"{patch.name}: there is no {safeguard.also}"


def wrong_folders(folders):
    there = {path.name for path in TESTS.iterdir() if path.is_dir()}
    yield from (f"README.md has no line for {name}/" for name in sorted(there - folders.keys()))
    yield from (f"README.md: there is no folder {name}/" for name in sorted(folders.keys() - there))


def misspelt():
    for source in sources():
        for at, line in enumerate(source.read_text().splitlines(), 1):
            place = f"{source.relative_to(TESTS)}:{at}"
            if line.startswith(LEFT_OUT):
                if at != 2 or source.suffix != ".cpp" or source.parent.name not in safeguards.GROUPS:
                    yield f"{place}: `{LEFT_OUT}` is read in the second line of a test only"
                elif not re.fullmatch(r"\S.*\.", line.removeprefix(LEFT_OUT)):
                    yield f"{place}: say why, in a sentence: `{line}`"
            elif line.lstrip().startswith("//"):
                begins = line.strip()[:len(LEFT_OUT)].lower()
                if difflib.SequenceMatcher(None, begins, LEFT_OUT.lower()).ratio() > 0.7:
                    yield f"{place}: is this meant to be `{LEFT_OUT}...`? `{line}`"


def main():
    numbers, folders = register()
    errors = [*wrong_numbers(numbers), *wrong_safeguards(numbers), *wrong_folders(folders), *misspelt()]
    print("\n".join(errors) or f"{len(numbers)} numbers and {len(folders)} folders, all in README.md")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
