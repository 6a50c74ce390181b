/*
 * For tests that look for a PIN where it must not be: in all of another process's memory.
 */
#ifndef SG_TESTS_TOKEN_MEMORY_H
#define SG_TESTS_TOKEN_MEMORY_H

/* How often the text stands there; -1 when it cannot be read, which is right for all but root. */
static int memory_copies(pid_t pid, const char *needle)
{
	char name[64], line[512], *room;
	FILE *maps;
	int mem, copies = 0;

	snprintf(name, sizeof(name), "/proc/%d/mem", pid);
	mem = open(name, O_RDONLY);
	if (mem < 0)
		return -1;
	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	maps = fopen(name, "r");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long from, to;
		ssize_t len;

		if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 || strstr(line, " rw") == NULL ||
		    to - from > (1ul << 30)) /* a sanitizer's shadow */
			continue;
		room = malloc(to - from);
		assert_non_null(room);
		len = pread(mem, room, to - from, (off_t)from);
		for (char *at = room; len > 0 && at != NULL; copies += at != NULL) {
			at = memmem(at, (size_t)(room + len - at), needle, strlen(needle));
			if (at == NULL)
				break;
			at++;
		}
		free(room);
	}
	fclose(maps);
	close(mem);
	return copies;
}

#endif
