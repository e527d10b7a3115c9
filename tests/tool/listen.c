// SPDX-License-Identifier: GPL-2.0-only
/*
 * listen: stand in the journal's place, and print what it is sent
 *
 * Each message is its lines KEY=VALUE and an empty one behind them.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char message[1 << 16];

int main(void)
{
	struct sockaddr_un address = {
		.sun_family = AF_UNIX,
		.sun_path = "/run/systemd/journal/socket",
	};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ssize_t n;

	mkdir("/run/systemd", 0755);
	mkdir("/run/systemd/journal", 0755);
	unlink(address.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		perror(address.sun_path);
		return 1;
	}
	while ((n = recv(fd, message, sizeof(message), 0)) >= 0) {
		fwrite(message, 1, n, stdout);
		putchar('\n');
		fflush(stdout);
	}
	perror("recv");
	return 1;
}
