// SPDX-License-Identifier: GPL-2.0-only
/* Names of volumes and of the devices that belong to them. */
#include "name.h"

static const struct {
	const char *word;
	bool numbered;
} roles[NAME_ROLES] = {
	[NAME_LIVE] = { "live", false },
	[NAME_DIFF] = { "diff", false },
	[NAME_SNAPSHOT] = { "snap", true },
	[NAME_WRITABLE] = { "rw", true },
};

/* What udev lets stand in the name of a device node */
static const char allowed[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#+-.:=@_";

const char *name_wrong(const char *name)
{
	if (!*name)
		return "is no name";
	if (strlen(name) > NAME_LONGEST)
		return "is longer than 100 letters";
	if (name[strspn(name, allowed)])
		return "has a letter that names cannot have";
	if (*name == '-' || *name == '.')
		return "begins as names cannot";
	return NULL;
}

const char *name_plain(const char *operand)
{
	static const char folder[] = "/dev/mapper/";

	return strncmp(operand, folder, strlen(folder)) ? operand : operand + strlen(folder);
}

static void append(char *to, enum name_role role, u32 id)
{
	size_t at = strlen(to);

	if (roles[role].numbered)
		snprintf(to + at, NAME_CHARS - at, "-%s-%u", roles[role].word, id);
	else
		snprintf(to + at, NAME_CHARS - at, "-%s", roles[role].word);
}

void name_of(char name[NAME_CHARS], const char *volume, enum name_role role, u32 id)
{
	snprintf(name, NAME_CHARS, "%s", volume);
	if (role != NAME_LIVE)
		append(name, role, id);
}

void name_volume(char volume[NAME_CHARS], const char *device, enum name_role role, u32 id)
{
	size_t length = strlen(device), added;
	char end[NAME_CHARS] = "";

	if (role != NAME_LIVE)
		append(end, role, id);
	added = strlen(end);
	if (length > added && !strcmp(device + length - added, end))
		length -= added;
	snprintf(volume, NAME_CHARS, "%.*s", (int)length, device);
}

void name_uuid(char uuid[NAME_CHARS], const char *area, enum name_role role, u32 id)
{
	snprintf(uuid, NAME_CHARS, NAME_PREFIX "%s", area);
	append(uuid, role, id);
}

bool name_parse(const char *uuid, char area[NAME_AREA + 1], enum name_role *role, u32 *id)
{
	size_t prefix = strlen(NAME_PREFIX);
	char again[NAME_CHARS];
	const char *rest;
	u64 number = 0;
	u32 i;

	if (strncmp(uuid, NAME_PREFIX, prefix) ||
	    strspn(uuid + prefix, "0123456789abcdef") != NAME_AREA)
		return false;
	memcpy(area, uuid + prefix, NAME_AREA);
	area[NAME_AREA] = 0;
	rest = uuid + prefix + NAME_AREA;
	for (i = 0; i < NAME_ROLES; i++) {
		size_t length = strlen(roles[i].word);

		if (*rest != '-' || strncmp(rest + 1, roles[i].word, length))
			continue;
		number = 0;
		if (roles[i].numbered && (rest[length + 1] != '-' ||
					  tool_number(rest + length + 2, ~0U, &number)))
			continue;
		*role = i;
		*id = number;
		name_uuid(again, area, i, number);
		if (!strcmp(uuid, again))
			return true;
	}
	return false;
}
