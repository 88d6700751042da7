/* SPDX-License-Identifier: GPL-2.0-or-later */
/* manifest.h - what a kept image holds, as text that can be compared. */
#ifndef KA_IMAGES_MANIFEST_H
#define KA_IMAGES_MANIFEST_H

#include "keepalive/fs.h"

/*
 * The checksum of the image, then a line for each name and attribute. Bytes that
 * are no printable ASCII are written as \xNN. To be freed.
 */
char *manifest_of(struct ka_fs *fs, const void *image, size_t bytes);

#endif
