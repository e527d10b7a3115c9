// SPDX-License-Identifier: GPL-2.0-only
/*
 * Raw live devices of cowprotecttab, as udev's rules ask for them.
 *
 * The device is not opened: its names are compared.
 */
#include <stdlib.h>

#include "area.h"
#include "device.h"
#include "live.h"
#include "tab.h"

/* Links that are the volume's, and the raw device's in DEVICE_HIDDEN */
static const char * const moved[] = { "/dev/disk/by-uuid/", "/dev/disk/by-label/" };

/* The next of some links, of @length letters; NULL behind the last */
static const char *next_link(const char *links, size_t *length)
{
	links += strspn(links, " ");
	*length = strcspn(links, " ");
	return *length ? links : NULL;
}

static bool is_device(const char *name, const char *node, const char *links)
{
	char path[PATH_MAX];
	size_t length = 0;

	if (device_link(name, path))
		return false;
	if (!strcmp(path, node))
		return true;
	while ((links = next_link(links + length, &length)))
		if (strlen(path) == length && !strncmp(path, links, length))
			return true;
	return false;
}

static const struct tab_volume *volume_on(const struct tab *tab, const char *node,
					  const char *links)
{
	size_t i;

	for (i = 0; i < tab->count; i++)
		if (is_device(tab->volumes[i].live, node, links))
			return &tab->volumes[i];
	return NULL;
}

static bool is_stray(const struct tab *tab, const char *node, const char *links)
{
	size_t i;

	for (i = 0; i < tab->stray_count; i++)
		if (is_device(tab->strays[i], node, links))
			return true;
	return false;
}

static void tell_link(const char *link, size_t length)
{
	const char *folder = "", *name = link + strlen("/dev/");
	u32 i;

	for (i = 0; i < ARRAY_SIZE(moved); i++)
		if (!strncmp(link, moved[i], strlen(moved[i]))) {
			folder = DEVICE_HIDDEN + strlen("/dev/");
			name = link + strlen("/dev/disk");
		}
	printf("%s%.*s ", folder, (int)(link + length - name), name);
}

static void tell_links(const char *links, const struct tab_volume *v)
{
	size_t length = 0;

	printf("COWPROTECT_LINKS=");
	while ((links = next_link(links + length, &length)))
		tell_link(links, length);
	if (v)
		printf("%s/live/%s", DEVICE_HIDDEN + strlen("/dev/"), v->name);
	putchar('\n');
}

int live_tell(const char *node, const char *links, bool part)
{
	const struct tab_volume *v;
	struct tab tab;
	int ret = tab_read(&tab, tab_file());

	if (ret)
		return ret;
	links = links ? links : "";
	v = volume_on(&tab, node, links);
	if (v || part || is_stray(&tab, node, links)) {
		puts("COWPROTECT_LEG=live");
		if (v)
			printf("COWPROTECT_VOLUME=%s\n", v->name);
		if (v && !v->noauto)
			printf("COWPROTECT_START=%s\n", v->name);
		tell_links(links, v);
	} else {
		tool_error(node, "is no live device of %s; check the names there", tab_file());
		ret = TOOL_DEVICE;
	}
	tab_free(&tab);
	return ret;
}
