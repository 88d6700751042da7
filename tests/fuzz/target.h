/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * target.h - what a target has in common with libFuzzer, or with driver.c, which
 * runs kept inputs where there is no libFuzzer.
 */
#ifndef KA_FUZZ_TARGET_H
#define KA_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer's own mutations. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Names the input in failures, and sets the clock back: the same input does the same. */
void target_begin(const char *name, const uint8_t *data, size_t size);

#endif
