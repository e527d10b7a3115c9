/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The user's contract in words: modes, states, fault words and limits.
 *
 * One definition for the module, the tools and the tests.  The order of each
 * list is part of the contract only where the disk holds the number (the mode);
 * everything else is compared by word.
 */
#ifndef COWPROTECT_WORDS_H
#define COWPROTECT_WORDS_H

#define COWP_TARGET		"cowprotect"
#define COWP_SNAPSHOT_TARGET	"cowprotect-snap"	/* at most 15 characters */

/* Bytes of a snapshot's label with its terminating zero. */
#define COWP_LABEL_BYTES	64

/* Snapshots that one diff area can hold at a time. */
#define COWP_MAX_SNAPSHOTS	1024

#define COWP_MODES(X)			\
	X(NORMAL,	"normal")	\
	X(PROTECTED,	"protected")

#define COWP_STATES(X)			\
	X(RECOVERING,	"recovering")	\
	X(ACTIVE,	"active")	\
	X(WAITING,	"waiting")	\
	X(BLOCKED,	"blocked")	\
	X(LOST,		"lost")		\
	X(NONE,		"none")

/*
 * Fault words, after VSS_PROTECTION_FAULT.  The third column is what the
 * operator has to do; it ends the kernel's log line.
 */
#define COWP_FAULTS(X)							\
	X(NONE, "none", "nothing to do")				\
	X(DIFF_AREA_MISSING, "diff-area-missing",			\
	  "attach the diff device, then reload the table with it") \
	X(ONLINE_IO_FAILURE, "io-failure-during-online",		\
	  "repair the diff device, then send clear")			\
	X(METADATA_CORRUPTION, "metadata-corruption",			\
	  "run cowprotect check on the diff device; restore it and send clear, "	\
	  "or send reset to give the snapshots up") \
	X(MEMORY_ALLOCATION_FAILURE, "memory-allocation-failure",	\
	  "free memory, then send clear")				\
	X(COW_READ_FAILURE, "cow-read-failure",				\
	  "repair the live device and send clear, or send clear accept_unreadable") \
	X(COW_WRITE_FAILURE, "cow-write-failure",			\
	  "repair the diff device, then send clear")			\
	X(DIFF_AREA_FULL, "diff-area-full",				\
	  "grow the diff device and send grow, or delete snapshots; then send clear") \
	X(GROW_TOO_SLOW, "grow-too-slow",				\
	  "grow the diff device sooner; send reset to start anew")	\
	X(GROW_FAILED, "grow-failed",					\
	  "see the log for the reason, send grow again, then clear")	\
	X(IO_FAILURE, "io-failure",					\
	  "repair the diff device, then send clear")			\
	X(DIFF_AREA_REMOVED, "diff-area-removed",			\
	  "attach the diff device again, reload the table with it, then send clear") \
	X(EXTERNAL_WRITER, "external-writer",				\
	  "stop whatever else uses the diff device, bring the right one back, "	\
	  "then send clear, or deactivate and activate again") \
	X(TIMEOUT, "timeout",						\
	  "repair the diff device, then send clear")			\
	X(INTERNAL_ERROR, "internal-error",				\
	  "report this with the kernel log; then send clear")

#define COWP_WORD_ENUM(name, ...)	COWP_WORD_ENUM_ENTRY(name)
enum cowp_mode {
#define COWP_WORD_ENUM_ENTRY(name)	COWP_MODE_##name,
	COWP_MODES(COWP_WORD_ENUM)
#undef COWP_WORD_ENUM_ENTRY
	COWP_MODE_COUNT
};

enum cowp_state {
#define COWP_WORD_ENUM_ENTRY(name)	COWP_STATE_##name,
	COWP_STATES(COWP_WORD_ENUM)
#undef COWP_WORD_ENUM_ENTRY
	COWP_STATE_COUNT
};

enum cowp_fault {
#define COWP_WORD_ENUM_ENTRY(name)	COWP_FAULT_##name,
	COWP_FAULTS(COWP_WORD_ENUM)
#undef COWP_WORD_ENUM_ENTRY
	COWP_FAULT_COUNT
};

#endif /* COWPROTECT_WORDS_H */
