// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "page.h"
#include "crc32c.h"

static u8 zeros[PAGE_BYTES] __aligned(4096);

struct page page_zero = { .data = zeros, .ref = 1 };

static struct page *free_pages;
static u64 in_use;

/* Pages come in slabs that are never given back: a run's peak is a few MiB. */
#define SLAB_PAGES	256U

static void add_slab(void)
{
	u8 *data = aligned_alloc(PAGE_BYTES, SLAB_PAGES * PAGE_BYTES);
	struct page *p = calloc(SLAB_PAGES, sizeof(*p));
	u32 i;

	if (!data || !p)
		abort();
	for (i = 0; i < SLAB_PAGES; i++) {
		p[i].data = data + (size_t)i * PAGE_BYTES;
		p[i].next = free_pages;
		free_pages = &p[i];
	}
}

struct page *page_new(void)
{
	struct page *p;

	if (!free_pages)
		add_slab();
	p = free_pages;
	free_pages = p->next;
	p->ref = 1;
	p->have_crc = false;
	in_use++;
	return p;
}

struct page *page_copy(const struct page *p)
{
	struct page *copy = page_new();

	memcpy(copy->data, p->data, PAGE_BYTES);
	return copy;
}

void page_free(struct page *p)
{
	p->next = free_pages;
	free_pages = p;
	in_use--;
}

u64 pages_in_use(void)
{
	return in_use;
}

u32 page_crc(struct page *p)
{
	if (!p->have_crc) {
		p->crc = crc32c(~0U, p->data, PAGE_BYTES);
		p->have_crc = true;
	}
	return p->crc;
}

struct image *image_new(u64 sectors)
{
	struct image *img = calloc(1, sizeof(*img));

	if (!img)
		abort();
	img->ref = 1;
	image_resize(img, sectors);
	return img;
}

void image_resize(struct image *img, u64 sectors)
{
	u32 blocks = (sectors + PAGE_SECTORS - 1) / PAGE_SECTORS;
	u32 i;

	for (i = blocks; i < img->blocks; i++)
		page_put(img->page[i]);
	if (blocks != img->blocks || !img->page) {
		img->page = realloc(img->page, (blocks ? blocks : 1) * sizeof(*img->page));
		if (!img->page)
			abort();
	}
	for (i = img->blocks; i < blocks; i++)
		img->page[i] = page_get(&page_zero);
	img->blocks = blocks;
	img->sectors = sectors;
}

struct image *image_clone(const struct image *img)
{
	struct image *copy = malloc(sizeof(*copy));
	u32 i;

	if (!copy)
		abort();
	*copy = *img;
	copy->ref = 1;
	copy->page = malloc((img->blocks ? img->blocks : 1) * sizeof(*copy->page));
	if (!copy->page)
		abort();
	for (i = 0; i < img->blocks; i++)
		copy->page[i] = page_get(img->page[i]);
	return copy;
}

void image_free(struct image *img)
{
	u32 i;

	if (!img || --img->ref)
		return;
	for (i = 0; i < img->blocks; i++)
		page_put(img->page[i]);
	free(img->page);
	free(img);
}

const u8 *image_sector(const struct image *img, u64 sector)
{
	return img->page[sector / PAGE_SECTORS]->data + (sector % PAGE_SECTORS) * 512;
}

void image_read(const struct image *img, u64 sector, u32 sectors, void *to)
{
	u8 *p = to;

	while (sectors) {
		u32 in_page = sector % PAGE_SECTORS;
		u32 n = PAGE_SECTORS - in_page < sectors ? PAGE_SECTORS - in_page : sectors;

		memcpy(p, img->page[sector / PAGE_SECTORS]->data + in_page * 512, n * 512);
		p += n * 512;
		sector += n;
		sectors -= n;
	}
}

void image_merge(struct image *img, u32 block, u8 mask, struct page *p)
{
	struct page *old = img->page[block];
	struct page *merged;
	u32 i;

	if (!mask)
		return;
	if (mask == 0xff) {
		img->page[block] = page_get(p);
		page_put(old);
		return;
	}
	merged = page_copy(old);
	for (i = 0; i < PAGE_SECTORS; i++) {
		if (mask & 1 << i)
			memcpy(merged->data + i * 512, p->data + i * 512, 512);
	}
	img->page[block] = merged;
	page_put(old);
}
