/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Disk images made of counted pages, so that copies of a state are cheap.
 *
 * A page is written only by its maker, before anyone else can see it.
 */
#ifndef SIM_PAGE_H
#define SIM_PAGE_H

#include <linux/types.h>

#define PAGE_BYTES	4096U
#define PAGE_SECTORS	8U

struct page {
	u8 *data;
	u32 ref;
	u32 crc;
	bool have_crc;
	struct page *next;
};

extern struct page page_zero;

struct page *page_new(void);		/* contents undefined */
struct page *page_copy(const struct page *p);
void page_free(struct page *p);
u32 page_crc(struct page *p);

static inline struct page *page_get(struct page *p)
{
	p->ref++;
	return p;
}

static inline void page_put(struct page *p)
{
	if (!--p->ref)
		page_free(p);
}

struct image {
	u32 ref;
	u64 sectors;
	u32 blocks;
	struct page **page;
};

struct image *image_new(u64 sectors);
struct image *image_clone(const struct image *img);
void image_free(struct image *img);	/* one reference */

static inline struct image *image_get(struct image *img)
{
	img->ref++;
	return img;
}

void image_resize(struct image *img, u64 sectors);
void image_read(const struct image *img, u64 sector, u32 sectors, void *to);
const u8 *image_sector(const struct image *img, u64 sector);

/* Take those sectors of @p that have a bit in @mask. */
void image_merge(struct image *img, u32 block, u8 mask, struct page *p);

/* Pages allocated and not freed, to find leaks. */
u64 pages_in_use(void);

#endif /* SIM_PAGE_H */
