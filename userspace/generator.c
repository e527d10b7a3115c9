// SPDX-License-Identifier: GPL-2.0-only
/*
 * cowprotect-generator: cowprotecttab as units of systemd, by systemd.generator(7).
 *
 *	cowprotect-generator FOLDER [FOLDER FOLDER]
 *
 * Each volume is an instance of cowprotect@.service.  As of crypttab: the unit of its
 * device needs it, and cowprotect.target, which sysinit.target waits for, needs it too
 * (nofail: wants it and does not wait; noauto: not at all).  Without nofail whatever
 * waits for the device waits for ever: a volume that is blocked has no time-out, and
 * one that fails ends the wait by itself.
 */
#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "area.h"
#include "tab.h"

#define TARGET		"cowprotect.target"
#define UNIT_CHARS	(4 * NAME_LONGEST + 64)

/* systemd gives a generator no standard error that anybody reads. */
void tool_error(const char *subject, const char *fmt, ...)
{
	FILE *log = getenv("SYSTEMD_SCOPE") ? fopen("/dev/kmsg", "we") : NULL;
	FILE *out = log ? log : stderr;
	va_list args;

	fprintf(out, "cowprotect-generator: %s: ", subject);
	va_start(args, fmt);
	vfprintf(out, fmt, args);
	va_end(args);
	fputc('\n', out);
	if (log)
		fclose(log);
}

void *xrealloc(void *p, size_t bytes)
{
	p = realloc(p, bytes);
	if (!p) {
		tool_error("memory", "%zu bytes are not to be had; free some", bytes);
		exit(EXIT_FAILURE);
	}
	return p;
}

/* As systemd-escape(1) does */
static void escape(char *to, const char *name)
{
	for (; *name; name++)
		if (isalnum((unsigned char)*name) || strchr(":_.", *name))
			*to++ = *name;
		else
			to += sprintf(to, "\\x%02x", *name);
	*to = 0;
}

static bool failed(const char *path)
{
	tool_error(path, "cannot be made: %s; see whether /run is full", strerror(errno));
	return false;
}

/* FOLDER/UNIT.SUFFIX, which is made */
static bool folder_of(char path[PATH_MAX], const char *folder, const char *unit,
		      const char *suffix)
{
	snprintf(path, PATH_MAX, "%s/%s.%s", folder, unit, suffix);
	return !mkdir(path, 0755) || errno == EEXIST || failed(path);
}

/* Unit UNIT has a dependency on our DEPENDENCY, whose file is FILE. */
static bool depend(const char *folder, const char *unit, const char *kind, const char *dependency,
		   const char *file)
{
	char path[PATH_MAX + UNIT_CHARS], to[PATH_MAX];

	if (!folder_of(path, folder, unit, kind))
		return false;
	snprintf(path + strlen(path), UNIT_CHARS, "/%s", dependency);
	snprintf(to, sizeof(to), "%s/%s", COWP_UNIT_DIR, file);
	return !symlink(to, path) || errno == EEXIST || failed(path);
}

static bool add_to(const char *folder, const char *unit, const char *text)
{
	char path[PATH_MAX + 32];
	FILE *file;
	bool good;

	if (!folder_of(path, folder, unit, "d"))
		return false;
	strcat(path, "/40-cowprotect.conf");
	file = fopen(path, "we");
	good = file && fprintf(file, "# Made by cowprotect-generator\n[Unit]\n%s\n", text) > 0;
	if (file && fclose(file))
		good = false;
	return good || failed(path);
}

static bool generate(const char *folder, const struct tab_volume *v)
{
	char escaped[UNIT_CHARS], service[UNIT_CHARS + 32], device[UNIT_CHARS + 32];
	static const char file[] = "cowprotect@.service";

	escape(escaped, v->name);
	snprintf(service, sizeof(service), "cowprotect@%s.service", escaped);
	snprintf(device, sizeof(device), "dev-mapper-%s.device", escaped);
	if (!depend(folder, device, "requires", service, file))
		return false;
	if (v->noauto)
		return true;
	if (!depend(folder, TARGET, v->nofail ? "wants" : "requires", service, file))
		return false;
	return v->nofail || (add_to(folder, service, "Before=" TARGET) &&
			     add_to(folder, device, "JobTimeoutSec=infinity"));
}

int main(int argc, char **argv)
{
	const char *path = tab_file();
	struct tab tab;
	bool good;
	size_t i;

	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: cowprotect-generator FOLDER [FOLDER FOLDER]\n");
		return EXIT_FAILURE;
	}
	if (tab_read(&tab, path))
		return EXIT_FAILURE;
	good = !tab.count || depend(argv[1], "sysinit.target", "wants", TARGET, TARGET);
	for (i = 0; i < tab.count; i++)
		good = generate(argv[1], &tab.volumes[i]) && good;
	tab_free(&tab);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
