/* The twin of ranks.py, for images without Python: the same words, the same lines, the same exit codes.
 *
 * It is compiled without mpi.h, by any C compiler, and loads the MPI that is named: cc -o ranks ranks.c -ldl
 * Handles go as words of a pointer's size, which calls of integers take, too, on all processors of this field.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

static void *mpi;
static void *world, *byte_, *int64, *add;
static int rank, size;

/* What was given as NAME=…; NULL where it was not. */
static const char *given(int count, char **words, const char *name)
{
    size_t length = strlen(name);
    for (int i = 1; i < count; i++)
        if (strncmp(words[i], name, length) == 0 && words[i][length] == '=')
            return words[i] + length + 1;
    return NULL;
}

static const char *word(int count, char **words, const char *name)
{
    const char *found = given(count, words, name);
    if (found == NULL) {
        fprintf(stderr, "sealift: `%s=` is missing\n", name);
        exit(2);
    }
    return found;
}

static void *symbol(const char *name)
{
    void *found = dlsym(mpi, name);
    if (found == NULL) {
        fprintf(stderr, "sealift: the image's MPI has no %s\n", name);
        exit(5);
    }
    return found;
}

static void *handle(const char *text)
{
    return text[0] == '&' ? symbol(text + 1) : (void *)(uintptr_t)strtoull(text, NULL, 16);
}

static void must(int code, const char *what)
{
    if (code != 0) {
        fprintf(stderr, "sealift: %s failed with %d\n", what, code);
        exit(6);
    }
}

static int (*init)(int *, char ***);
static int (*finalize)(void);
static int (*comm_rank)(void *, int *);
static int (*comm_size)(void *, int *);
static int (*library_version)(char *, int *);
static int (*all_reduce)(const void *, void *, int, void *, void *, void *);
static int (*send_)(const void *, int, void *, int, int, void *);
static int (*recv_)(void *, int, void *, int, int, void *, void *);
static int (*barrier)(void *);

static void load(int count, char **words)
{
    mpi = dlopen(word(count, words, "library"), RTLD_NOW | RTLD_GLOBAL);
    if (mpi == NULL) {
        char *fault = strdup(dlerror());
        mpi = dlopen(word(count, words, "path"), RTLD_NOW | RTLD_GLOBAL);
        if (mpi == NULL) {
            fprintf(stderr, "sealift: the image's MPI cannot be loaded: %s\n", fault);
            exit(5);
        }
        free(fault);
    }
    *(void **)&init = symbol("MPI_Init");
    *(void **)&finalize = symbol("MPI_Finalize");
    *(void **)&comm_rank = symbol("MPI_Comm_rank");
    *(void **)&comm_size = symbol("MPI_Comm_size");
    *(void **)&library_version = symbol("MPI_Get_library_version");
    *(void **)&all_reduce = symbol("MPI_Allreduce");
    *(void **)&send_ = symbol("MPI_Send");
    *(void **)&recv_ = symbol("MPI_Recv");
    *(void **)&barrier = symbol("MPI_Barrier");
}

/* Text inside a JSON string: words with one blank between them, at most `most` characters. */
static void quoted(char *out, const char *text, int most)
{
    int blank = 0, length = 0;
    for (; *text && length < most; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= ' ') {
            blank = length > 0;
            continue;
        }
        if (blank && length < most) {
            *out++ = ' ';
            length++;
            blank = 0;
        }
        if (length == most)
            break;
        if (c == '"' || c == '\\')
            *out++ = '\\';
        *out++ = c < 127 ? (char)c : '?';
        length++;
    }
    *out = 0;
}

static void say(const char *line)
{
    fwrite(line, 1, strlen(line), stdout);
    fflush(stdout);
}

static void hello(void)
{
    static char version[8192], shown[512], library[4096] = "", host[136], line[8192];
    int length = 0;
    struct utsname system;
    Dl_info where;
    if (library_version(version, &length) != 0)
        version[0] = 0;
    quoted(shown, version, 160);
    if (dladdr(*(void **)&comm_rank, &where) != 0 && where.dli_fname != NULL) {
        char *real = realpath(where.dli_fname, NULL);
        quoted(library, real != NULL ? real : where.dli_fname, 2000);
        free(real);
    }
    uname(&system);
    const char *node = getenv("SLURMD_NODENAME");
    quoted(host, node != NULL && *node ? node : system.nodename, 64);
    snprintf(line, sizeof line,
             "{\"kind\": \"rank\", \"rank\": %d, \"size\": %d, \"host\": \"%s\", \"library\": \"%s\", \"version\": \"%s\"}\n",
             rank, size, host, library, shown);
    say(line);
}

static void told(const char *kind, int64_t expected, int64_t found)
{
    char line[256];
    snprintf(line, sizeof line, "{\"kind\": \"%s\", \"expected\": %lld, \"found\": %lld}\n", kind, (long long)expected,
             (long long)found);
    say(line);
}

static int reduced(void)
{
    int64_t mine = (int64_t)(rank + 1) * 1000003, found = 0, expected = (int64_t)size * (size + 1) / 2 * 1000003;
    must(all_reduce(&mine, &found, 1, int64, add, world), "MPI_Allreduce");
    if (rank == 0)
        told("allreduce", expected, found);
    return found == expected;
}

static int ring(void)
{
    int64_t number = 0, expected = (int64_t)size * (size + 1) / 2;
    char status[256];
    int before = (rank + size - 1) % size, after = (rank + 1) % size;
    if (rank > 0)
        must(recv_(&number, 1, int64, before, 1, world, status), "MPI_Recv");
    number += rank + 1;
    must(send_(&number, 1, int64, after, 1, world), "MPI_Send");
    if (rank > 0)
        return 1;
    must(recv_(&number, 1, int64, before, 1, world, status), "MPI_Recv");
    told("ring", expected, number);
    return number == expected;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void pair(int length, int rounds)
{
    int other = rank == 0 ? size - 1 : 0;
    char status[256], line[256];
    must(barrier(world), "MPI_Barrier");
    if (rank != 0 && rank != size - 1)
        return;
    char *text = calloc(1, (size_t)length);
    double start = 0;
    for (int number = -(rounds / 10) - 1; number < rounds; number++) {
        if (number == 0)
            start = now();
        for (int turn = 0; turn < 2; turn++) {
            if ((turn == 0) == (rank == 0))
                must(send_(text, length, byte_, other, 2, world), "MPI_Send");
            else
                must(recv_(text, length, byte_, other, 2, world, status), "MPI_Recv");
        }
    }
    double seconds = (now() - start) / rounds / 2;
    if (rank == 0) {
        snprintf(line, sizeof line, "{\"kind\": \"pair\", \"bytes\": %d, \"microseconds\": %.2f, \"rate\": %.1f}\n", length,
                 seconds * 1e6, length / seconds / 1e6);
        say(line);
    }
    free(text);
}

int main(int count, char **words)
{
    load(count, words);
    world = handle(word(count, words, "world"));
    byte_ = handle(word(count, words, "byte"));
    int64 = handle(word(count, words, "int64"));
    add = handle(word(count, words, "sum"));
    int tasks = atoi(word(count, words, "tasks")), right = 1;
    must(init(NULL, NULL), "MPI_Init");
    must(comm_rank(world, &rank), "MPI_Comm_rank");
    must(comm_size(world, &size), "MPI_Comm_size");
    hello();
    if (size == tasks) {
        right = reduced();
        const char *messages = given(count, words, "messages");
        if (messages != NULL && size > 1) {
            int length, rounds, read;
            right = ring() && right;
            while (sscanf(messages, "%d:%d%n", &length, &rounds, &read) == 2) {
                pair(length, rounds);
                messages += read + (messages[read] == ',');
            }
        }
    }
    must(finalize(), "MPI_Finalize");
    return size != tasks ? 3 : right ? 0 : 4;
}
