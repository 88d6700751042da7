/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* err.c - texts and errnos of the private error codes. */
#include "keepalive/err.h"

#include <string.h>

static const struct {
	int no;
	const char *text;
} table[] = {
#define X(name, no, text) {no, text},
	KA_ERR_TABLE(X)
#undef X
};

int ka_errno(int err)
{
	int code = -err;

	if (code > KA_ERR_BASE && code < KA_ERR_LIMIT)
		return table[code - KA_ERR_BASE - 1].no;
	return code;
}

const char *ka_strerror(int err)
{
	int code = -err;

	if (code > KA_ERR_BASE && code < KA_ERR_LIMIT)
		return table[code - KA_ERR_BASE - 1].text;
	return strerrordesc_np(code) ?: "unknown error";
}
