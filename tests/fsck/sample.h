/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sample.h - a small filesystem of every kind of file, in memory, of which each
 * byte is known; and what its files may look like once bytes of the region
 * have changed.
 */
#ifndef KA_SAMPLE_H
#define KA_SAMPLE_H

#include "memfs.h"

#define SAMPLE_FILES	96
#define SAMPLE_VERSIONS 8

/* Bytes of the region, [from, to). */
struct sample_range {
	uint64_t from;
	uint64_t to;
};

struct sample_ranges {
	struct sample_range *list;
	size_t count;
};

struct sample_contents {
	uint8_t *data;
	size_t size;
};

struct sample_file {
	char path[64];
	ka_ino_t ino;
	uint32_t mode;
	const char *target;
	uint32_t xattr_bytes; /* of user.sample; 0: none */
	/* regular files: as they were at some time; the last one is how they are */
	struct sample_contents version[SAMPLE_VERSIONS];
	unsigned versions;
	struct sample_ranges data; /* record heads and pieces that it lies in */
};

/* A record behind the checkpoint, and the inodes that it is about. */
struct sample_record {
	struct sample_range head;
	uint64_t seq;
	ka_ino_t ino[2];
};

enum sample_flags {
	SAMPLE_CLEAN = 1,    /* unmounted; else there is log behind the checkpoint */
	SAMPLE_FULL = 2,     /* so full that only one checkpoint is kept */
	SAMPLE_CHUNKS = 4,   /* its checkpoint has several chunks */
	SAMPLE_RECYCLED = 8, /* segments with records of files that live were used again */
};

struct sample {
	const char *name;
	unsigned flags;
	uint64_t bytes;
	uint8_t *mem; /* the region as it was made; never changed */
	struct sample_file file[SAMPLE_FILES];
	size_t files;
	struct sample_ranges meta;    /* bytes whose change fsck has to notice */
	struct sample_ranges ckpt[2]; /* the chunks of the newest checkpoint, and of the older */
	struct sample_record *record;
	size_t records;
	/*
	 * At the end of an unclean log: records about files that nobody asks for,
	 * more than one blow can destroy. Damage that reaches the very end cannot be
	 * told from a torn record.
	 */
	struct sample_range tail;
};

void sample_make(struct sample *s, const char *name, unsigned flags);
void sample_release(struct sample *s);

bool sample_hits(const struct sample_ranges *r, struct sample_range what);

/* Whether a record about the file, or about a directory above it, was hit. */
bool sample_concerns(const struct sample *s, const struct sample_file *f, struct sample_range what);

#endif
