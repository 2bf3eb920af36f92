// SPDX-License-Identifier: MIT
/*
 * What core_fuzz found worth keeping, once more: each way through the core that
 * it has seen. tests/fuzz/core.corpus has an input a line, in hexadecimal.
 */
#include <stdio.h>
#include <string.h>

#include "harness.h"
/* the fuzzer itself: it aborts over what is wrong */
#include "fuzz/core_fuzz.c"

#define CORPUS "tests/fuzz/core.corpus"

/* Bytes of a line, or -1 if it is no hexadecimal. */
static int unhex(const char *line, uint8_t *to)
{
	unsigned int byte;
	int n, at;

	for (n = 0; sscanf(line, "%2x%n", &byte, &at) == 1; n++) {
		if (at != 2)
			return -1;
		to[n] = byte;
		line += 2;
	}
	return *line == '\n' ? n : -1;
}

TEST(inputs_of_the_corpus)
{
	char line[4096];
	uint8_t input[sizeof(line) / 2];
	int n, inputs = 0;
	FILE *file;

	file = fopen(CORPUS, "r");
	ASSERT_NE(NULL, file);
	while (fgets(line, sizeof(line), file)) {
		if (*line == '#')
			continue;
		n = unhex(line, input);
		ASSERT_LT(0, n);
		LLVMFuzzerTestOneInput(input, n);
		inputs++;
	}
	fclose(file);
	EXPECT_LT(50, inputs);
}

TEST_HARNESS_MAIN
