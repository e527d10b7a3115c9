// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's side of scripts/vm.
 *
 *   agent run COMMAND [ARG...]
 *	Run COMMAND, pass its output to the host, byte for byte, and the requests
 *	of "agent call"; at the end tell the host the exit status.
 *
 *   agent call VERB [ARG...] [< PAYLOAD]
 *	Ask the host for something, print its answer, exit with its status.
 *	The payload is read from standard input for the verb "put" only.
 *
 * All of it goes through one virtio port: what COMMAND has written before a request
 * reaches the host before the request does, so nothing that a test printed is lost
 * when it asks for a power cut, or ends.  Of two ports the host may read the later
 * one first.
 *
 * Request: "<length of the arguments> <length of the payload>\n", the arguments,
 * each ended by a NUL, the payload.  Answer: "<status> <length>\n", the text.
 * Requests by the agent itself have none: "start", "exit" with the status, and
 * "out" with output as payload.
 * The host may send one thing unasked: "sysrq <letter>\n".
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET_PATH	"/run/agent.socket"
#define PORT		"cowprotect.control"
/* Level 0, to be printed whatever the script did to the console */
#define CONSOLE_START	"<0>vm: the script starts\n"
#define CONSOLE_END	"<0>vm: end of the run\n"

static char buf[65536];
static int child_pipe[2];

static void die(const char *what)
{
	perror(what);
	exit(125);
}

static bool try_write(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			len -= n;
		}
	}
	return true;
}

static void write_all(int fd, const char *data, size_t len)
{
	if (!try_write(fd, data, len))
		die("write");
}

static bool read_all(int fd, char *data, size_t len)
{
	while (len) {
		ssize_t n = read(fd, data, len);

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		if (n > 0) {
			data += n;
			len -= n;
		}
	}
	return true;
}

/* A line of at most size - 1 bytes, without its newline */
static bool read_line(int fd, char *line, size_t size)
{
	size_t n = 0;

	while (n < size - 1) {
		if (!read_all(fd, line + n, 1))
			return false;
		if (line[n] == '\n')
			break;
		n++;
	}
	line[n] = 0;
	return true;
}

/* The receiver may be gone: what is sent is taken from the sender all the same */
static void copy_bytes(int from, int to, size_t len)
{
	while (len) {
		size_t n = len < sizeof(buf) ? len : sizeof(buf);

		if (!read_all(from, buf, n))
			die("connection lost");
		try_write(to, buf, n);
		len -= n;
	}
}

static struct sockaddr_un address = {
	.sun_family = AF_UNIX,
	.sun_path = SOCKET_PATH,
};

static int agent_call(int argc, char **argv)
{
	struct stat st = { 0 };
	char line[64];
	size_t args = 0;
	int fd, i, status;

	if (!strcmp(argv[0], "put") && fstat(STDIN_FILENO, &st))
		die("standard input");
	for (i = 0; i < argc; i++)
		args += strlen(argv[i]) + 1;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		die("agent");
	snprintf(line, sizeof(line), "%zu %zu\n", args, (size_t)st.st_size);
	write_all(fd, line, strlen(line));
	for (i = 0; i < argc; i++)
		write_all(fd, argv[i], strlen(argv[i]) + 1);
	copy_bytes(STDIN_FILENO, fd, st.st_size);
	shutdown(fd, SHUT_WR);

	if (!read_line(fd, line, sizeof(line)) ||
	    sscanf(line, "%d %zu", &status, &args) != 2)
		die("answer");
	copy_bytes(fd, status ? STDERR_FILENO : STDOUT_FILENO, args);
	return status;
}

static int open_port(const char *name)
{
	char path[300], found[100], *slash;
	glob_t names;
	size_t i;
	int fd = -1;

	if (glob("/sys/class/virtio-ports/*/name", 0, NULL, &names))
		die("no virtio ports");
	for (i = 0; i < names.gl_pathc && fd < 0; i++) {
		int attr = open(names.gl_pathv[i], O_RDONLY | O_CLOEXEC);

		if (attr < 0 || !read_line(attr, found, sizeof(found)))
			die(names.gl_pathv[i]);
		close(attr);
		if (strcmp(found, name))
			continue;
		slash = strrchr(names.gl_pathv[i], '/');
		*slash = 0;
		slash = strrchr(names.gl_pathv[i], '/');
		snprintf(path, sizeof(path), "/dev%s", slash);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (fd < 0)
		die(name);
	globfree(&names);
	return fd;
}

static int listen_for_calls(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(SOCKET_PATH);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 64))
		die("agent socket");
	return fd;
}

static pid_t start(char **argv)
{
	pid_t pid;

	if (pipe2(child_pipe, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		int null = open("/dev/null", O_RDONLY);

		setsid();
		dup2(null, STDIN_FILENO);
		dup2(child_pipe[1], STDOUT_FILENO);
		dup2(child_pipe[1], STDERR_FILENO);
		execvp(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	close(child_pipe[1]);
	fcntl(child_pipe[0], F_SETFL, O_NONBLOCK);
	return pid;
}

static void send_request(int control, const char *verb, const char *arg, const char *payload,
			 size_t len)
{
	size_t args = strlen(verb) + 1 + (*arg ? strlen(arg) + 1 : 0);

	dprintf(control, "%zu %zu\n", args, len);
	write_all(control, verb, strlen(verb) + 1);
	if (*arg)
		write_all(control, arg, strlen(arg) + 1);
	write_all(control, payload, len);
}

/* Everything that is in the pipe now; true at its end */
static bool drain(int control)
{
	ssize_t n;

	while ((n = read(child_pipe[0], buf, sizeof(buf))) > 0)
		send_request(control, "out", "", buf, n);
	return n == 0;
}

static void sysrq(const char *letter)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		write_all(fd, letter, 1);
		close(fd);
	}
}

static void read_answer(int control, char *line, size_t size)
{
	for (;;) {
		if (!read_line(control, line, size))
			die(PORT);
		if (strncmp(line, "sysrq ", 6))
			return;
		sysrq(line + 6);
	}
}

/* The whole request, or NULL if the caller was killed while it sent it */
static char *read_request(int client, char *line, size_t size, size_t *len)
{
	size_t args, payload;
	char *request;

	if (!read_line(client, line, size) ||
	    sscanf(line, "%zu %zu", &args, &payload) != 2)
		return NULL;
	*len = args + payload;
	request = malloc(*len);
	if (!request || !read_all(client, request, *len)) {
		free(request);
		return NULL;
	}
	return request;
}

/* The script may be printing while its request is carried out */
static void await_answer(int control)
{
	struct pollfd fds[] = {
		{ .fd = control, .events = POLLIN },
		{ .fd = child_pipe[0], .events = POLLIN },
	};

	do {
		poll(fds, 2, -1);
		if (fds[1].revents && drain(control))
			fds[1].fd = -1;
	} while (!fds[0].revents);
}

static void serve_call(int client, int control)
{
	char line[64], *request;
	size_t len;

	request = read_request(client, line, sizeof(line), &len);
	if (request) {
		drain(control);
		dprintf(control, "%s\n", line);
		write_all(control, request, len);
		free(request);
		await_answer(control);
		read_answer(control, line, sizeof(line));
		if (sscanf(line, "%*d %zu", &len) != 1)
			die("answer");
		dprintf(client, "%s\n", line);
		copy_bytes(control, client, len);
	}
	close(client);
}

static volatile sig_atomic_t child_ended;

static void on_child(int sig)
{
	(void)sig;
	child_ended = 1;
}

static void serve(int calls, int control)
{
	struct pollfd fds[] = {
		{ .fd = child_pipe[0], .events = POLLIN },
		{ .fd = calls, .events = POLLIN },
		{ .fd = control, .events = POLLIN },
	};
	char line[64];
	sigset_t blocked, open_mask;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &open_mask);
	while (!child_ended) {
		if (ppoll(fds, 3, NULL, &open_mask) < 0)
			continue;
		if (fds[0].revents && drain(control))
			fds[0].fd = -1;
		if (fds[1].revents)
			serve_call(accept4(calls, NULL, NULL, SOCK_CLOEXEC), control);
		if (fds[2].revents && read_line(control, line, sizeof(line)) &&
		    !strncmp(line, "sysrq ", 6))
			sysrq(line + 6);
	}
}

/*
 * The host takes the console's log for complete when it has the last mark.  The
 * kernel drops messages that come too fast: no reason to end.
 */
static void mark_console(const char *mark)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		try_write(fd, mark, strlen(mark));
		close(fd);
	}
}

static int agent_run(char **argv)
{
	int control = open_port(PORT), calls = listen_for_calls(), status;
	char text[16];
	pid_t pid;

	signal(SIGCHLD, on_child);
	mark_console(CONSOLE_START);
	send_request(control, "start", "", "", 0);
	pid = start(argv);
	/* Only now, as the script would inherit it */
	signal(SIGPIPE, SIG_IGN);
	serve(calls, control);
	waitpid(pid, &status, 0);
	drain(control);
	status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	snprintf(text, sizeof(text), "%d", status);
	mark_console(CONSOLE_END);
	send_request(control, "exit", text, "", 0);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "run"))
		return agent_run(argv + 2);
	if (argc >= 3 && !strcmp(argv[1], "call"))
		return agent_call(argc - 2, argv + 2);
	fprintf(stderr, "usage: agent run|call WORD...\n");
	return 2;
}
