/* A service for tests of the setup: runs until it is told to stop, or with `broken` never comes up. */
#include <string.h>
#include <windows.h>

static SERVICE_STATUS_HANDLE handle;
static HANDLE told_to_stop;
static int is_broken;

static void tell(DWORD state, DWORD code) {
    SERVICE_STATUS status = {SERVICE_WIN32_OWN_PROCESS, state, SERVICE_ACCEPT_STOP, code, 0, 0, 0};
    SetServiceStatus(handle, &status);
}

static DWORD WINAPI control(DWORD what, DWORD event, void *data, void *context) {
    (void)event, (void)data, (void)context;
    if (what == SERVICE_CONTROL_STOP) SetEvent(told_to_stop);
    return NO_ERROR;
}

static void WINAPI serve(DWORD count, char **words) {
    (void)count, (void)words;
    handle = RegisterServiceCtrlHandlerExA("byoi", control, NULL);
    tell(SERVICE_START_PENDING, NO_ERROR);
    if (!is_broken) {
        tell(SERVICE_RUNNING, NO_ERROR);
        WaitForSingleObject(told_to_stop, INFINITE);
    }
    tell(SERVICE_STOPPED, is_broken ? ERROR_BAD_ENVIRONMENT : NO_ERROR);
}

int main(int count, char **words) {
    SERVICE_TABLE_ENTRYA services[] = {{"byoi", serve}, {NULL, NULL}};
    is_broken = count > 1 && !strcmp(words[1], "broken");
    told_to_stop = CreateEventA(NULL, TRUE, FALSE, NULL);
    return !StartServiceCtrlDispatcherA(services);
}
