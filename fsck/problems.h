/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * problems.h - everything fsck.keepalivefs can find. Numbers are permanent:
 * scripts and bug reports name them. Listed in fsck.keepalivefs(8).
 *
 * KA_PROBLEM(number, name, how, text, repair)
 *   how   SAFE: -p repairs it, nothing can be lost; RISKY: only -y, or a yes,
 *         as something is lost or invented
 */
#define KA_PROBLEMS(KA_PROBLEM)                                                                  \
	KA_PROBLEM(1, SUPER_COPY, SAFE, "superblock copy is damaged", "rewrite it")              \
	KA_PROBLEM(2, SUPER_STALE, SAFE, "superblock copies differ", "write both anew")          \
	KA_PROBLEM(3, WIPED, RISKY, "region was wiped, or never formatted",                      \
		   "make an empty filesystem")                                                   \
	KA_PROBLEM(4, SUPER_BOTH, SAFE, "both superblock copies are damaged",                    \
		   "put them together, as the checksum proves right")                            \
	KA_PROBLEM(10, CKPT_NEWEST, SAFE, "newest checkpoint is damaged",                        \
		   "use the older one and the log behind it")                                    \
	KA_PROBLEM(11, CKPT_BOTH, RISKY, "no checkpoint can be read",                            \
		   "rebuild from what is left of them and of the log")                           \
	KA_PROBLEM(12, CKPT_OLDER, SAFE, "older checkpoint is damaged", "write a new one")       \
	KA_PROBLEM(20, LOG_LOST, RISKY, "records of the log are damaged",                        \
		   "go on without what they did")                                                \
	KA_PROBLEM(21, LOG_SEGMENT, SAFE, "segment header is damaged", "give up its records")    \
	KA_PROBLEM(22, LOG_RECORD, SAFE, "record that is not needed any more is damaged",        \
		   "give up the records around it")                                              \
	KA_PROBLEM(30, DATA, RISKY, "data is damaged", "make a hole of the damaged range")       \
	KA_PROBLEM(31, DOUBT, RISKY, "contents may be old or incomplete", "keep what was found") \
	KA_PROBLEM(40, NO_NAME, RISKY, "inode has no name", "connect it to /lost+found")         \
	KA_PROBLEM(41, NLINK, SAFE, "link count is wrong", "correct it")                         \
	KA_PROBLEM(42, DIR_LOOP, RISKY, "directory cannot be reached from the root",             \
		   "connect it to /lost+found")                                                  \
	KA_PROBLEM(43, NO_INODE, RISKY, "name leads to a file that is lost", "remove the name")  \
	KA_PROBLEM(44, LOST_FOUND, RISKY, "lost+found is no directory", "give it another name")  \
	KA_PROBLEM(50, USAGE, SAFE, "live data lies in a segment counted as free",               \
		   "count it as used")                                                           \
	KA_PROBLEM(60, FLAGGED, SAFE, "filesystem is marked as damaged", "take the mark away")
