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

/* The folder that a tag stands for; NULL: it is a path, or nothing that is known. */
static const char *folder_of(const char *name, const char **value)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(tags); i++) {
		size_t length = strlen(tags[i].tag);

		if (strncmp(name, tags[i].tag, length))
			continue;
		*value = name + length;
		return tags[i].folder;
	}
	return NULL;
}

const char *device_wrong(const char *name)
{
	const char *value;

	if (*name == '/' || (folder_of(name, &value) && *value))
		return NULL;
	return "is neither a path nor UUID=, PARTUUID=, LABEL=, PARTLABEL= or ID= with a value";
}

int device_link(const char *name, char path[PATH_MAX])
{
	const char *value, *folder = folder_of(name, &value);
	char encoded[512];

	if (strlen(name) >= PATH_MAX ||
	    (folder && blkid_encode_string(value, encoded, sizeof(encoded)))) {
		tool_error(name, "is too long; check the name");
		return TOOL_DEVICE;
	}
	if (folder)
		snprintf(path, PATH_MAX, "/dev/disk/%s/%s", folder, encoded);
	else
		strcpy(path, name);
	return TOOL_OK;
}

int device_path(const char *name, char path[PATH_MAX])
{
	const char *value, *folder = folder_of(name, &value);
	char hidden[PATH_MAX + sizeof(DEVICE_HIDDEN)];
	int ret = device_link(name, path);

	if (ret || !folder)
		return ret;
	/* The raw live device, not the volume on it, which has the same file system. */
	snprintf(hidden, sizeof(hidden), DEVICE_HIDDEN "%s", path + strlen("/dev/disk"));
	if (!access(hidden, F_OK)) {
		strcpy(path, hidden);
		return TOOL_OK;
	}
	if (!access(path, F_OK))
		return TOOL_OK;
	tool_error(name, "there is no such device; see /dev/disk/%s", folder);
	return TOOL_DEVICE;
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
