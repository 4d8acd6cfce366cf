/* SPDX-License-Identifier: Apache-2.0 */
#include "program/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/redis_url.h"

static enum program_exit exit_code(enum mr_status code)
{
	switch (code) {
	case MR_OK:
		return PROGRAM_OK;
	case MR_EINVAL:
	case MR_ECONFLICT:
	case MR_EEXISTS:
	case MR_ENOT_FOUND:
		return PROGRAM_USAGE;
	case MR_EKAFKA:
	case MR_EREDIS:
		return PROGRAM_UNREACHABLE;
	case MR_ETIMEOUT:
		return PROGRAM_WAIT_OVER;
	case MR_ECANCELED:
		return PROGRAM_CANCELED;
	case MR_EBAD_RECORD:
	case MR_ETOO_LARGE:
	case MR_EFULL:
	case MR_ECLOSED:
	case MR_ENOMEM:
	case MR_ESYSTEM:
		break;
	}
	return PROGRAM_FAILED;
}

int program_fail(const char *program, const struct mr_error *err)
{
	const char *message = err->message[0] ? err->message : mr_status_text(err->code);

	if (err->where[0])
		fprintf(stderr, "%s: %s: %s\n", program, err->where, message);
	else
		fprintf(stderr, "%s: %s\n", program, message);
	return (int)exit_code(err->code);
}

/* Before anything is connected or created. */
static enum mr_status check_redis(const struct program_common *common, struct mr_error *err)
{
	struct redis_url url = {0};
	struct mr_error why = {0};
	enum mr_status status = redis_url_parse(common->redis, &url, &why);

	redis_url_deinit(&url);
	return status ? mr_error_set(err, status, "--redis", "%s", why.message) : MR_OK;
}

int program_begin(const struct conf_program *program, int argc, char **argv, void *options, size_t common_offset,
		  struct conf_list *ret_args)
{
	const struct program_common *common = (const void *)((const char *)options + common_offset);
	struct mr_error err = {0};
	int ret_exit = -1;

	if (conf_parse(program, argc, argv, options, ret_args, &ret_exit, &err))
		return program_fail(program->name, &err);
	if (ret_exit >= 0)
		return ret_exit;
	if (check_redis(common, &err)) {
		conf_deinit(program, options);
		return program_fail(program->name, &err);
	}
	log_setup(program->name, (enum log_level)common->log_level, (enum log_format)common->log_format);
	bytes_hash_setup(random_u64(), random_u64());
	signal(SIGPIPE, SIG_IGN);
	return -1;
}

struct bus_config program_bus_config(const struct program_common *common, const char *client_id)
{
	return (struct bus_config){
		.brokers = common->brokers,
		.client_id = client_id,
		.properties = &common->properties,
	};
}

struct store_config program_store_config(const struct program_common *common, int shards)
{
	return (struct store_config){
		.url = common->redis,
		.prefix = common->prefix,
		.shards = shards,
	};
}

char *program_topic(const char *prefix, const char *name)
{
	struct buf text = {0};

	buf_printf(&text, "%s%s", prefix, name);
	buf_cstr(&text);
	return text.data;
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

char *program_identity(void)
{
	char host[65] = "";
	struct buf text = {0};

	if (gethostname(host, sizeof(host) - 1))
		host[0] = '\0';
	for (char *c = host; *c; c++)
		if (!is_plain(*c))
			*c = '-';
	buf_printf(&text, "%s-%ld-%08llx", host[0] ? host : "host", (long)getpid(),
		   (unsigned long long)random_u64() & 0xffffffff);
	buf_cstr(&text);
	return text.data;
}

enum mr_status program_signal_fd(int *ret_fd, struct mr_error *err)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return mr_error_set(err, MR_ESYSTEM, "sigprocmask", "%s", strerror(errno));
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return mr_error_set(err, MR_ESYSTEM, "signalfd", "%s", strerror(errno));
	*ret_fd = fd;
	return MR_OK;
}

int program_signal_read(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}
