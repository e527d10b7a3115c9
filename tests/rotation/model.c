// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

struct model model;

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static void transfer(const char *path, const char *mode)
{
	FILE *f = fopen(path, mode);
	size_t done = 0;

	if (f && *mode == 'r')
		done = fread(&model, sizeof(model), 1, f);
	else if (f)
		done = fwrite(&model, sizeof(model), 1, f);
	if (!done || fclose(f))
		die("%s: %s", path, strerror(errno));
}

void model_load(const char *path)
{
	transfer(path, "r");
}

void model_save(const char *path)
{
	transfer(path, "w");
}

uint32_t model_random(uint64_t *rng, uint32_t limit)
{
	uint64_t z = *rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (z ^ z >> 31) % limit;
}

struct image *model_add(uint32_t id)
{
	struct image *image = &model.images[model.count];

	if (model.count == MAX_IMAGES)
		die("more than %u snapshots", MAX_IMAGES);
	if (model.count && id <= image[-1].id)
		die("snapshot %u comes after %u", id, image[-1].id);
	image->id = id;
	model.count++;
	return image;
}

void model_remove(uint32_t index)
{
	model.count--;
	memmove(&model.images[index], &model.images[index + 1],
		(model.count - index) * sizeof(model.images[0]));
}

uint32_t model_copied_again(void)
{
	uint32_t i, chunk, n = 0;

	for (i = 1; i < model.count; i++) {
		const struct image *image = &model.images[i];

		for (chunk = 0; chunk < CHUNKS; chunk++)
			n += image->again[chunk] &&
			     image->serial[chunk] == image[-1].serial[chunk];
	}
	return n;
}

static uint32_t differences(const struct image *a, const struct image *b)
{
	uint32_t i, n = 0;

	for (i = 0; i < CHUNKS; i++)
		n += a->serial[i] != b->serial[i];
	return n;
}

uint32_t model_needed(void)
{
	uint32_t i, n = 0;

	for (i = 0; i < model.count; i++)
		n += differences(&model.images[i], i + 1 < model.count ?
				 &model.images[i + 1] : &model.live);
	return n;
}
