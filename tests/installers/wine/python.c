/* python.exe, as CPython's own PC/python.c has it, for the DLL beside it. */
#include <wchar.h>
#include <windows.h>

typedef int (*Main)(int, wchar_t **);

int wmain(int argc, wchar_t **argv) {
    HMODULE dll = LoadLibraryW(L"python312.dll");
    if (!dll) return 101;
    return ((Main)(void *)GetProcAddress(dll, "Py_Main"))(argc, argv);
}
