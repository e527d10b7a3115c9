// SPDX-License-Identifier: GPL-2.0-only
/* Devices by the names that udev and sysfs know. */
#include <blkid/blkid.h>
#include <unistd.h>

#include "device.h"

static const struct {
	const char *tag;
	const char *folder;
} tags[] = {
	{ "UUID=", "by-uuid" },
	{ "LABEL=", "by-label" },
	{ "PARTUUID=", "by-partuuid" },
	{ "PARTLABEL=", "by-partlabel" },
	{ "ID=", "by-id" },
};

const char *device_wrong(const char *name)
{
	u32 i;

	if (*name == '/')
		return NULL;
	for (i = 0; i < ARRAY_SIZE(tags); i++)
		if (!strncmp(name, tags[i].tag, strlen(tags[i].tag)) && name[strlen(tags[i].tag)])
			return NULL;
	return "is neither a path nor UUID=, PARTUUID=, LABEL=, PARTLABEL= or ID= with a value";
}

int device_path(const char *name, char path[PATH_MAX])
{
	char encoded[512];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(tags); i++) {
		size_t length = strlen(tags[i].tag);

		if (strncmp(name, tags[i].tag, length))
			continue;
		if (blkid_encode_string(name + length, encoded, sizeof(encoded)))
			break;
		snprintf(path, PATH_MAX, "/dev/disk/%s/%s", tags[i].folder, encoded);
		if (!access(path, F_OK))
			return TOOL_OK;
		tool_error(name, "there is no such device; see /dev/disk/%s", tags[i].folder);
		return TOOL_DEVICE;
	}
	if (i < ARRAY_SIZE(tags) || strlen(name) >= PATH_MAX) {
		tool_error(name, "is too long; check the name");
		return TOOL_DEVICE;
	}
	strcpy(path, name);
	return TOOL_OK;
}

void device_shown(const char *number, char path[PATH_MAX])
{
	char link[PATH_MAX], name[PATH_MAX];
	FILE *file;
	ssize_t n;

	snprintf(path, PATH_MAX, "%s", number);
	snprintf(link, sizeof(link), "/sys/dev/block/%s/dm/name", number);
	file = fopen(link, "re");
	if (file) {
		if (fgets(name, sizeof(name) - 16, file)) {
			name[strcspn(name, "\n")] = 0;
			snprintf(path, PATH_MAX, "/dev/mapper/%.*s", 128, name);
		}
		fclose(file);
		return;
	}
	snprintf(link, sizeof(link), "/sys/dev/block/%s", number);
	n = readlink(link, name, sizeof(name) - 1);
	if (n > 0) {
		name[n] = 0;
		snprintf(path, PATH_MAX, "/dev/%.*s", 128, strrchr(name, '/') + 1);
	}
}

u64 device_sectors(const char *number)
{
	char path[PATH_MAX];
	unsigned long long sectors = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/dev/block/%s/size", number);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%llu", &sectors) != 1)
		sectors = 0;
	fclose(file);
	return sectors;
}
