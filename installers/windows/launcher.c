/* byoi.exe and byoi-window.exe: run the agent of the version that the file `current` names.
 *
 * They lie in bin\, beside `current` and `versions\`, so that PATH, the Start menu and what starts at
 * a sign-in stay as they are when the version changes. byoi.exe belongs to a console. byoi-window.exe
 * has none: it shows what a command that failed has said, or with --quiet only starts it.
 */
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#define LONGEST 32768
#define SAID_BYTES 4096
#define EXIT_UNAVAILABLE 69

static wchar_t root[LONGEST], program[LONGEST], line[LONGEST * 2];
#ifdef WINDOW
static wchar_t words[LONGEST];
static char said[SAID_BYTES + 1];
#endif

static int tell(const wchar_t *text) {
#ifdef WINDOW
    MessageBoxW(NULL, text, L"byoi", MB_OK | MB_ICONWARNING);
#else
    fwprintf(stderr, L"byoi: %ls\n", text);
#endif
    return EXIT_UNAVAILABLE;
}

static void cut_name(wchar_t *path) {
    wchar_t *end = wcsrchr(path, L'\\');
    if (end) *end = 0;
}

/* The first line of `current`, which holds the name of a folder and nothing else. */
static int read_current(wchar_t *version, int longest) {
    char name[128] = "";
    FILE *file;
    swprintf(program, LONGEST, L"%ls\\current", root);
    if (!(file = _wfopen(program, L"rb"))) return 0;
    if (!fgets(name, sizeof name, file)) name[0] = 0;
    fclose(file);
    name[strcspn(name, "\r\n ")] = 0;
    if (!name[0] || name[0] == '.' || strpbrk(name, "\\/:\"")) return 0;
    return MultiByteToWideChar(CP_UTF8, 0, name, -1, version, longest) > 0;
}

/* What follows our own name, as it was typed. */
static const wchar_t *arguments(void) {
    const wchar_t *rest = GetCommandLineW();
    int quoted = 0;
    for (; *rest && (quoted || (*rest != L' ' && *rest != L'\t')); rest++)
        if (*rest == L'"') quoted = !quoted;
    while (*rest == L' ' || *rest == L'\t') rest++;
    return rest;
}

/* The child ends with us, also when we are killed. */
static void tie(HANDLE child) {
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    HANDLE job = CreateJobObjectW(NULL, NULL);
    limits.BasicLimitInformation.LimitFlags =
        JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    if (!job) return;
    SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
    AssignProcessToJobObject(job, child);
}

#ifdef WINDOW
/* Keep the last part of what the child says, until it has ended. */
static void hear(HANDLE from) {
    char part[512];
    DWORD got, kept = 0;
    while (ReadFile(from, part, sizeof part, &got, NULL) && got) {
        if (kept + got > SAID_BYTES) {
            DWORD gone = kept + got - SAID_BYTES;
            memmove(said, said + gone, kept - gone);
            kept -= gone;
        }
        memcpy(said + kept, part, got);
        kept += got;
    }
    said[kept] = 0;
}
#endif

/* Start `line`; 0, or what to leave with where that cannot be. */
static int run(STARTUPINFOW *start, PROCESS_INFORMATION *child) {
    if (CreateProcessW(program, line, NULL, NULL, TRUE, 0, NULL, NULL, start, child)) return 0;
    return tell(L"this version's files are not complete: run the setup of byoi again");
}

static int end_of(PROCESS_INFORMATION *child) {
    DWORD code = EXIT_UNAVAILABLE;
    WaitForSingleObject(child->hProcess, INFINITE);
    GetExitCodeProcess(child->hProcess, &code);
    return (int)code;
}

#ifdef WINDOW
static int run_and_show(void) {
    STARTUPINFOW start = {.cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES};
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    PROCESS_INFORMATION child;
    HANDLE from, to;
    int code;
    if (!CreatePipe(&from, &to, &inherited, 0)) return EXIT_UNAVAILABLE;
    SetHandleInformation(from, HANDLE_FLAG_INHERIT, 0);
    start.hStdOutput = start.hStdError = to;
    if ((code = run(&start, &child))) return code;
    CloseHandle(to);
    tie(child.hProcess);
    hear(from);
    if ((code = end_of(&child)) && MultiByteToWideChar(CP_UTF8, 0, said, -1, words, LONGEST))
        tell(words);
    return code;
}

static int start_program(const wchar_t *rest, const wchar_t *version) {
    STARTUPINFOW start = {.cb = sizeof start};
    PROCESS_INFORMATION child;
    int is_quiet = !wcsncmp(rest, L"--quiet ", 8);
    swprintf(program, LONGEST, L"%ls\\versions\\%ls\\Scripts\\pythonw.exe", root, version);
    swprintf(line, LONGEST * 2, L"\"%ls\" -I -m byoi_agent.cli.main %ls", program,
             is_quiet ? rest + 8 : rest);
    return is_quiet ? run(&start, &child) : run_and_show();
}
#else
/* Ctrl-C is the child's to answer; we wait for how it ends. */
static BOOL WINAPI leave_it(DWORD event) {
    return event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT;
}

static int start_program(const wchar_t *rest, const wchar_t *version) {
    STARTUPINFOW start;
    PROCESS_INFORMATION child;
    int code;
    SetConsoleCtrlHandler(leave_it, TRUE);
    swprintf(program, LONGEST, L"%ls\\versions\\%ls\\Scripts\\byoi.exe", root, version);
    swprintf(line, LONGEST * 2, L"\"%ls\" %ls", program, rest);
    GetStartupInfoW(&start);
    if ((code = run(&start, &child))) return code;
    tie(child.hProcess);
    return end_of(&child);
}
#endif

int wmain(void) {
    wchar_t version[128];
    GetModuleFileNameW(NULL, root, LONGEST);
    cut_name(root);
    cut_name(root);
    if (!read_current(version, 128))
        return tell(L"no version of byoi is installed here: run the setup of byoi again");
    return start_program(arguments(), version);
}
