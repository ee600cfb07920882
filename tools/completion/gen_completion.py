#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Completion of the command line, from what the command says of itself.

  gen_completion.py KNUMA bash|zsh >FILE

Commands are those of `knuma --help`, options those of `knuma COMMAND --help`,
keys those of `knuma conf dump`.
"""

import re
import subprocess
import sys

# What an argument is, by the name that --help gives it.
ARGUMENTS = {"FILE": "file", "DIR": "folder", "PID": "pid"}


def run(knuma, *args):
    return subprocess.run([knuma, *args], check=True, capture_output=True,
                          text=True, env={"KNUMA_CONF_FILE": ""}).stdout


def choices(about):
    """The words of "a (default), b or c", perhaps behind a colon; or none."""
    text = re.sub(r"\(.*?\)", "", about).split(":", 1)[-1]
    text = " ".join(text.split()).replace(" ,", ",")
    if not re.fullmatch(r"[\w-]+(?:, [\w-]+)* or [\w-]+", text):
        return []
    return re.findall(r"[\w-]+", text.replace(" or ", " "))


def options(text):
    """{option: what it takes, or None} of a help text."""
    found = {}
    for short, name, argument, about in re.findall(
            r"(?m)^ +(?:(-\w|-\?), )?(--[\w-]+)(?:=(\w+(?:=\w+)?))?((?:.*\n)"
            r"(?: {20,}.*\n)*)", text):
        kind = ARGUMENTS.get(argument)
        if argument == "KEY=VALUE":
            kind = "key"
        elif argument and not kind:
            kind = choices(about)
        for option in filter(None, (name, short)):
            found[option] = kind
    if not found:
        sys.exit("gen_completion: a help text without options")
    return found


def arguments(command, text):
    """What stands behind a command: kinds, and words of its own."""
    usage = re.search(r"(?m)^Usage: knuma %s(.*)$" % command, text).group(1)
    names = re.findall(r"[\w-]+", usage.replace("[OPTION...]", ""))
    words = [n for n in names if n.islower()]
    # Other forms: "or:  knuma bench numa [OPTION...]".
    words += re.findall(r"(?m)^  or:  knuma %s (\w+)" % command, text)
    kinds = [ARGUMENTS[n] for n in names if n in ARGUMENTS]
    return (["command"] if "COMMAND" in names else kinds), words


def read(knuma):
    commands = re.findall(r"(?m)^  (\w+) {2,}\S", run(knuma, "--help"))
    tables, behind = {}, {}
    for command in commands:
        text = run(knuma, command, "--help")
        tables[command] = options(text)
        behind[command] = arguments(command, text)
        for word in re.findall(r"(?m)^  or:  knuma %s (\w+)" % command, text):
            tables[command + " " + word] = options(
                run(knuma, command, word, "--help"))
    keys = re.findall(r"(?m)^#(\w+) =", run(knuma, "conf", "dump"))
    return commands, tables, behind, keys


BASH = r"""# SPDX-License-Identifier: Apache-2.0
# Made by tools/completion/gen_completion.py.

_knuma_reply()
{
	mapfile -t COMPREPLY < <(compgen "$@" -- "$cur")
}

# The value of option $1 of "COMMAND OPTION" in $2; false: it takes none.
_knuma_value()
{
	case $2 in
@VALUES@
	*) return 1 ;;
	esac
}

_knuma()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev= command= table= i

	COMPREPLY=()
	# "--option=value" comes as three words, or as "--option" "=".
	if [[ $cur == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 1]}
		cur=
	elif ((COMP_CWORD > 1)); then
		prev=${COMP_WORDS[COMP_CWORD - 1]}
		[[ $prev != = ]] || prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	if ((COMP_CWORD == 1)); then
		_knuma_reply -W "@COMMANDS@ --help --version"
		return
	fi
	command=${COMP_WORDS[1]}
	table=$command
	if ((COMP_CWORD > 2)); then
		case "$command ${COMP_WORDS[2]}" in
		@FORMS@) table="$command ${COMP_WORDS[2]}" ;;
		esac
	fi
	if [[ $command == run ]]; then
		# What stands behind the command to run is its own.
		for ((i = 2; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			--) ((i++)); break ;;
			=) ((i++)) ;;
			--conf | --profile | --set | --stat-file)
				[[ ${COMP_WORDS[i + 1]} == = ]] || ((i++)) ;;
			-*) ;;
			*) break ;;
			esac
		done
		if ((i < COMP_CWORD)); then
			_knuma_reply -f
			return
		fi
		if ((i == COMP_CWORD)) && [[ ${COMP_WORDS[i - 1]} == -- ]]; then
			_knuma_reply -c
			return
		fi
	fi
	_knuma_value "$table $prev" "$table $prev" && return
	if [[ $cur == -* ]]; then
		case $table in
@OPTIONS@
		esac
		return
	fi
	case $table in
@WORDS@
	esac
}

complete -F _knuma knuma
"""

ZSH = r"""#compdef knuma
# SPDX-License-Identifier: Apache-2.0
# Made by tools/completion/gen_completion.py.

if ((CURRENT == 2)); then
	_values command @COMMANDS@
	return
fi
case $words[2] in
@CASES@
esac
"""


def bash(commands, tables, behind, keys):
    how = {"file": "-f", "folder": "-d", "command": "-c",
           "pid": '-W "$(cd /proc && echo [0-9]*)"',
           "key": '-S = -W "%s"' % " ".join(keys)}
    values, opts, words = [], [], []
    for table, found in tables.items():
        for option, kind in found.items():
            if kind is None:
                continue
            reply = how[kind] if isinstance(kind, str) else \
                '-W "%s"' % " ".join(kind)
            values.append("\t'%s %s') _knuma_reply %s ;;" % (
                table, option, reply))
        opts.append("\t\t'%s') _knuma_reply -W \"%s\" ;;" % (
            table, " ".join(o for o in found if o.startswith("--"))))
    for command in commands:
        kinds, own = behind[command]
        replies = [how[k] for k in kinds]
        replies += ['-W "%s"' % " ".join(own)] if own else []
        if replies:
            words.append("\t%s) _knuma_reply %s ;;" % (
                command, " ".join(replies)))
    return (BASH.replace("@VALUES@", "\n".join(values))
            .replace("@OPTIONS@", "\n".join(opts))
            .replace("@WORDS@", "\n".join(words))
            .replace("@FORMS@", "|".join(
                "'%s'" % t for t in tables if " " in t))
            .replace("@COMMANDS@", " ".join(commands)))


def zsh(commands, tables, behind, keys):
    how = {"file": ":file:_files", "folder": ":folder:_files -/",
           "pid": ":process:_pids",
           "key": ":key:compadd -S = %s" % " ".join(keys)}
    cases = []
    for command in commands:
        specs = []
        for option, kind in tables[command].items():
            if not option.startswith("--"):
                continue
            if kind is None:
                specs.append("'%s'" % option)
            elif isinstance(kind, str):
                specs.append("'%s=%s'" % (option, how[kind]))
            else:
                specs.append("'%s=:value:(%s)'" % (option, " ".join(kind)))
        kinds, own = behind[command]
        if "command" in kinds:
            specs.append("'*::command:_normal'")
        elif own:
            specs.append("':word:(%s)'" % " ".join(own))
        elif "file" in kinds:
            specs.append("'*:file:_files'")
        elif "pid" in kinds:
            specs.append("':process:_pids'")
        cases.append("%s)\n\tshift words; ((CURRENT--))\n\t_arguments -S \\\n"
                     "\t\t%s\n\t;;" % (command, " \\\n\t\t".join(specs)))
    return ZSH.replace("@COMMANDS@", " ".join(commands)).replace(
        "@CASES@", "\n".join(cases))


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in ("bash", "zsh"):
        sys.exit("usage: gen_completion.py KNUMA bash|zsh")
    make = {"bash": bash, "zsh": zsh}[sys.argv[2]]
    sys.stdout.write(make(*read(sys.argv[1])))


if __name__ == "__main__":
    main()
