/* What CPython lays into Lib\venv\scripts\nt: runs the python.exe that pyvenv.cfg names. */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

#define LONGEST 32768

static wchar_t self[LONGEST], path[LONGEST], home[LONGEST], line[LONGEST];

static void up(wchar_t *text) {
    wchar_t *end = wcsrchr(text, L'\\');
    if (end) *end = 0;
}

int wmain(void) {
    STARTUPINFOW start = {.cb = sizeof start};
    PROCESS_INFORMATION child;
    DWORD code = 1;
    FILE *file;
    GetModuleFileNameW(NULL, self, LONGEST);
    wcscpy(path, self);
    up(path);
    up(path);
    wcscat(path, L"\\pyvenv.cfg");
    if (!(file = _wfopen(path, L"r"))) return 106;
    while (fgetws(line, LONGEST, file))
        if (!wcsncmp(line, L"home = ", 7)) {
            wcscpy(home, line + 7);
            home[wcscspn(home, L"\r\n")] = 0;
        }
    fclose(file);
    wcscat(home, L"\\python.exe");
    SetEnvironmentVariableW(L"__PYVENV_LAUNCHER__", self);
    wcscpy(line, GetCommandLineW());
    GetStartupInfoW(&start);
    if (!CreateProcessW(home, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child)) return 101;
    WaitForSingleObject(child.hProcess, INFINITE);
    GetExitCodeProcess(child.hProcess, &code);
    return (int)code;
}
