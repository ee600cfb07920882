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

# What stands behind a command: a word of it, a file, a command of the system.
WORDS = {"conf": "dump show", "bench": "numa locality"}
FILES = {"check", "stat", "conf", "topology"}
# What an argument of an option is, by the name that --help gives it.
ARGUMENTS = {"FILE": "file", "DIR": "folder", "PID": "pid"}


def run(knuma, *args):
    return subprocess.run([knuma, *args], check=True, capture_output=True,
                          text=True, env={"KNUMA_CONF_FILE": ""}).stdout


def options(text):
    """{option: what it takes, or None} of a help text."""
    found = {}
    for short, name, argument, about in re.findall(
            r"(?m)^ +(?:(-\w|-\?), )?(--[\w-]+)(?:=(\w+(?:=\w+)?))?((?:.*\n)"
            r"(?: {20,}.*\n)*)", text):
        words = re.sub(r"\(.*?\)", "", about)
        kind = ARGUMENTS.get(argument)
        if argument == "FORMAT":
            kind = re.findall(r"\b(?:text|json|csv|prom)\b", words)
        elif argument == "KEY=VALUE":
            kind = "key"
        elif name == "--profile":
            kind = re.findall(r"[\w-]+", words.split(":", 1)[1].replace(
                " or ", " ").replace("\n", " "))
        elif argument and not kind:
            kind = []
        for option in filter(None, (name, short)):
            found[option] = kind
    if not found:
        sys.exit("gen_completion: a help text without options")
    return found


def read(knuma):
    commands = re.findall(r"(?m)^  (\w+) {2,}\S", run(knuma, "--help"))
    tables = {c: options(run(knuma, c, "--help")) for c in commands}
    for word in WORDS["bench"].split():
        tables["bench " + word] = options(run(knuma, "bench", word, "--help"))
    keys = re.findall(r"(?m)^#(\w+) =", run(knuma, "conf", "dump"))
    return commands, tables, keys


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
	if [[ $command == bench && ${COMP_WORDS[2]} == @(numa|locality) ]] &&
		((COMP_CWORD > 2)); then
		table="bench ${COMP_WORDS[2]}"
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


def bash(commands, tables, keys):
    how = {"file": "-f", "folder": "-d",
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
        if command in WORDS:
            words.append("\t%s) ((COMP_CWORD > 2)) && [[ $prev == -* ]] || "
                         "_knuma_reply -W \"%s\" ;;" % (
                             command, WORDS[command]))
        elif command == "run":
            words.append("\trun) _knuma_reply -c ;;")
        elif command in FILES:
            words.append("\t%s) _knuma_reply -f ;;" % command)
    return (BASH.replace("@VALUES@", "\n".join(values))
            .replace("@OPTIONS@", "\n".join(opts))
            .replace("@WORDS@", "\n".join(words))
            .replace("@COMMANDS@", " ".join(commands)))


def zsh(commands, tables, keys):
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
        if command == "run":
            specs.append("'*::command:_normal'")
        elif command in WORDS:
            specs.append("':word:(%s)'" % WORDS[command])
        elif command in FILES:
            specs.append("'*:file:_files'")
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
