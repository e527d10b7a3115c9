// SPDX-License-Identifier: GPL-2.0-only
/* Diff devices: opening, reading, the fixed blocks. */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "area.h"

static const char *mend(int error)
{
	switch (error) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return "check the name";
	case EBUSY:
		return "it is in use: unmount it or remove the device that uses it";
	case EACCES:
	case EPERM:
		return "run as root";
	case EROFS:
		return "make it writable";
	default:
		return "see the kernel log";
	}
}

static bool get_size(struct area *a, const struct stat *st)
{
	int logical = 512;
	u64 bytes = st->st_size;

	if (a->device && (ioctl(a->fd, BLKGETSIZE64, &bytes) || ioctl(a->fd, BLKSSZGET, &logical)))
		return false;
	a->sectors = bytes >> SECTOR_SHIFT;
	a->blocks = bytes >> COWP_BLOCK_SHIFT;
	a->block_sectors = logical >> SECTOR_SHIFT;
	return true;
}

static int cannot(const char *path, const char *what, const char *do_it)
{
	int error = errno;

	tool_error(path, "cannot %s the %s: %s; %s", do_it, what, strerror(error), mend(error));
	return tool_ended(error);
}

int area_open(struct area *a, const char *path, const char *what, int flags)
{
	struct stat st;
	int ret;

	memset(a, 0, sizeof(*a));
	a->path = path;
	a->fd = -1;
	if (stat(path, &st))
		return cannot(path, what, "find");
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode)) {
		tool_error(path, "the %s is neither a block device nor a file; check the name",
			   what);
		return TOOL_DEVICE;
	}
	a->device = S_ISBLK(st.st_mode);
	a->id[0] = a->device ? st.st_rdev : st.st_dev;
	a->id[1] = a->device ? 0 : st.st_ino;
	if (!a->device)
		flags &= ~O_EXCL;
	a->fd = open(path, flags | O_CLOEXEC);
	if (a->fd < 0)
		return cannot(path, what, "open");
	/* A volume's own I/O goes past the page cache, which may hold older blocks. */
	posix_fadvise(a->fd, 0, 0, POSIX_FADV_DONTNEED);
	if (get_size(a, &st))
		return TOOL_OK;
	ret = cannot(path, what, "tell the size of");
	area_close(a);
	return ret;
}

void area_close(struct area *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

int area_read(const struct area *a, u64 block, u32 count, void *to)
{
	size_t left = (size_t)count << COWP_BLOCK_SHIFT;
	u64 at = block << COWP_BLOCK_SHIFT;
	char *p = to;

	if (block > a->blocks || count > a->blocks - block)
		return -EIO;
	while (left) {
		ssize_t n = pread(a->fd, p, left, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		at += n;
		left -= n;
	}
	return 0;
}

u64 area_hole_end(const struct area *a, u64 block)
{
	off_t data;

	if (a->device || block >= a->blocks)
		return block;
	data = lseek(a->fd, (off_t)block << COWP_BLOCK_SHIFT, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? a->blocks : block;
	return (u64)data >> COWP_BLOCK_SHIFT;
}

bool area_same(const struct area *a, const struct area *b)
{
	return a->device == b->device && a->id[0] == b->id[0] && a->id[1] == b->id[1];
}

void area_letters(char text[33], const u8 *uuid)
{
	u32 i;

	for (i = 0; i < 16; i++)
		sprintf(text + 2 * i, "%02x", uuid[i]);
}

/* ---- findings ---- */

static void tell(struct findings *f, const char *word, u64 block, const char *fmt, va_list args)
{
	if (!f->out)
		return;
	if (f->progress)
		fprintf(stderr, "\r\033[K");
	f->progress = false;
	fprintf(f->out, "%s: block %llu: ", word, block);
	vfprintf(f->out, fmt, args);
	fputc('\n', f->out);
}

void finding(struct findings *f, u64 block, const char *fmt, ...)
{
	va_list args;

	f->count++;
	if (f->count == FINDINGS_SHOWN + 1 && f->out)
		fprintf(f->out, "error: more than %u errors; the rest is only counted\n",
			FINDINGS_SHOWN);
	if (f->count > FINDINGS_SHOWN)
		return;
	va_start(args, fmt);
	tell(f, "error", block, fmt, args);
	va_end(args);
}

void note(struct findings *f, u64 block, const char *fmt, ...)
{
	va_list args;

	if (++f->notes > FINDINGS_SHOWN)
		return;
	va_start(args, fmt);
	tell(f, "note", block, fmt, args);
	va_end(args);
}

/* ---- the fixed blocks ---- */

static void choose_state(struct fixed *f)
{
	u32 i;

	f->newest = -1;
	for (i = 0; i < COWP_SLOTS; i++) {
		if (f->state_error[i])
			f->bad_state[i] = strerror(-f->state_error[i]);
		else
			f->bad_state[i] = cowp_state_decode(&f->copy[i], f->state[i], i, NULL);
		if (!f->bad_state[i] &&
		    (f->newest < 0 || f->copy[i].sequence > f->copy[f->newest].sequence))
			f->newest = i;
	}
}

/* As recovery does it: the newest that is not older than the state says. */
static void choose_root(struct fixed *f, const struct area *a)
{
	const struct cowp_area_state *s = f->newest < 0 ? NULL : &f->copy[f->newest];
	u32 i;

	f->slot = -1;
	for (i = 0; i < COWP_SLOTS; i++) {
		if (f->root_error[i])
			f->bad_root[i] = strerror(-f->root_error[i]);
		else
			f->bad_root[i] = cowp_root_decode(&f->super[i], f->root[i], i,
							  s ? s->uuid : NULL, a->blocks);
		if (f->bad_root[i] || (s && f->super[i].generation < s->generation))
			continue;
		if (f->slot < 0 || f->super[i].generation > f->super[f->slot].generation)
			f->slot = i;
	}
}

void fixed_read(struct fixed *f, const struct area *a)
{
	const void *root[COWP_SLOTS], *state[COWP_SLOTS];
	u32 i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < COWP_SLOTS; i++) {
		f->root[i] = xcalloc(1, COWP_BLOCK_SIZE);
		f->state[i] = xcalloc(1, COWP_BLOCK_SIZE);
		f->root_error[i] = area_read(a, COWP_ROOT_BLOCK(i), 1, f->root[i]);
		f->state_error[i] = area_read(a, COWP_STATE_BLOCK(i), 1, f->state[i]);
		root[i] = f->root_error[i] ? NULL : f->root[i];
		state[i] = f->state_error[i] ? NULL : f->state[i];
	}
	f->kind = cowp_area_probe(root, state, a->blocks, &f->info);
	choose_state(f);
	choose_root(f, a);
}

void fixed_free(struct fixed *f)
{
	u32 i;

	for (i = 0; i < COWP_SLOTS; i++) {
		free(f->root[i]);
		free(f->state[i]);
	}
}
