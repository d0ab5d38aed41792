# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# bash completion of tidemark(8). Subcommands and options are asked of the
# command's own --help, so that this file knows none of them.

_tidemark_commands() {
	tidemark --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p'
}

_tidemark_options() {
	tidemark "$1" --help 2>/dev/null | grep -oE -- '(^|[ ,])--?[a-zA-Z][a-z-]*' | tr -d ' ,' |
		sort -u
}

_tidemark_devices() {
	local path
	for path in /dev/mapper/*; do
		[[ $path == */control || $path == *-tidemark || ! -b $path ]] || echo "$path"
	done
	lsblk -nrpo NAME 2>/dev/null
}

_tidemark_collections() {
	tidemark list --noheadings --output COLLECTION 2>/dev/null
}

# Of which this host holds something: "status" has them, and those it sends.
_tidemark_replicas() {
	tidemark status --json 2>/dev/null | grep -o '"collection" *: *"[^"]*"' |
		cut -d '"' -f 4 | sort -u
}

_tidemark_jobs() {
	tidemark jobs --noheadings --output JOB 2>/dev/null
}

_tidemark() {
	local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=''

	COMPREPLY=()
	if [[ $COMP_CWORD -eq 1 ]]; then
		words="$(_tidemark_commands) help --help --version"
	elif [[ $current == -* ]]; then
		words=$(_tidemark_options "$command")
	else
		case $command in
		help)	words=$(_tidemark_commands) ;;
		attach)	words=$(_tidemark_devices) ;;
		meta)	[[ $COMP_CWORD -gt 2 ]] || words='format size check dump repair' ;;
		pki)	[[ $COMP_CWORD -gt 2 ]] || words='init server client revoke' ;;
		import)	[[ $COMP_CWORD -gt 2 ]] || words=$(_tidemark_collections) ;;
		list | status | start | resync | cancel | suspend | resume | verify | jobs | \
			history | stats)
			words=$(_tidemark_collections) ;;
		job)
			if [[ $COMP_CWORD -eq 2 ]]; then
				words='show wait cancel kill suspend resume limit'
			elif [[ $COMP_CWORD -eq 3 ]]; then
				words=$(_tidemark_jobs)
			fi ;;
		collection)
			if [[ $COMP_CWORD -eq 2 ]]; then
				words='show create modify add-vm add-disk remove-vm remove'
			elif [[ $COMP_CWORD -eq 3 ]]; then
				words=$(_tidemark_collections)
			fi ;;
		points)
			if [[ $COMP_CWORD -eq 2 ]]; then
				words='list show verify delete clear'
			elif [[ $COMP_CWORD -eq 3 ]]; then
				words=$(_tidemark_replicas)
			fi ;;
		failover | test-failover | planned-failover | reverse)
			if [[ $COMP_CWORD -eq 2 ]]; then
				case $command in
				failover) words='commit revert' ;;
				test-failover) words='start stop' ;;
				planned-failover) words=revert ;;
				reverse) words=prepare ;;
				esac
			fi
			[[ $COMP_CWORD -gt 3 || "$COMP_CWORD $command" == '2 test-failover' ]] ||
				words+=" $(_tidemark_collections)" ;;
		detach | disks)
			words=$(tidemark disks --noheadings --output NAME,DEVICE 2>/dev/null) ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -o default -F _tidemark tidemark
