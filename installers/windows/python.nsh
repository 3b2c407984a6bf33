; A Python 3.12, which the carried wheels are for. Not one of a user's own: the service's account
; cannot read it, and its user could change what the service runs.

!define PYTHON_KEY "SOFTWARE\Python\PythonCore\3.12\InstallPath"

; What uv is to take, in $Python.
Function FindPython
  ${SetVariable} "UV_NO_CONFIG" "1"
  ${SetVariable} "UV_NO_PROGRESS" "1"
  ${SetVariable} "UV_PYTHON_INSTALL_DIR" "$INSTDIR\python"
  ${SetVariable} "UV_PYTHON_INSTALL_BIN" "0"
  ${SetVariable} "UV_PYTHON_INSTALL_REGISTRY" "0"
  ${If} $Proxy != ""
    ${SetVariable} "HTTPS_PROXY" "$Proxy"
    ${SetVariable} "HTTP_PROXY" "$Proxy"
  ${EndIf}
  ${If} $Python == ""
    ReadRegStr $Python HKLM "${PYTHON_KEY}" "ExecutablePath"
    ${IfNot} ${FileExists} "$Python"
      StrCpy $Python ""
    ${EndIf}
  ${EndIf}
  ${If} $Python != ""
    ${Say} "Python: $Python."
    Return
  ${EndIf}
  Call BringPython
FunctionEnd

Function BringPython
  ${Say} "Fetching Python 3.12 (15 MB; the one thing that comes over the Internet)."
  ${SetVariable} "UV_PYTHON_PREFERENCE" "only-managed"
  ${Run} '"$PLUGINSDIR\payload\uv.exe" python install --no-cache 3.12'
  ${If} $0 != 0
    ${Say} "$1"
    ${GiveUp} ${EXIT_PYTHON} "Python 3.12 cannot be fetched: is github.com within reach? Behind a proxy: /PROXY=http://HOST:PORT. Without the Internet: install Python 3.12 for all users, or name one by /PYTHON=FILE."
  ${EndIf}
  StrCpy $Python "3.12"
FunctionEnd

; An environment of this version's own, from what is carried and nothing else.
Function MakeEnvironment
  ${Say} "Making the environment of version ${VERSION}."
  ${SetVariable} "UV_LINK_MODE" "copy" ; a file that is moved here would keep the rights of where it was
  ReadEnvStr $0 "UV_COMPILE_BYTECODE"
  ${If} $0 == ""
    ${SetVariable} "UV_COMPILE_BYTECODE" "1" ; the service may not write here
  ${EndIf}
  ${Run} '"$PLUGINSDIR\payload\uv.exe" venv --quiet --offline --no-cache --python "$Python" "$Target"'
  ${If} $0 != 0
    ${Say} "$1"
    ${GiveUp} ${EXIT_PYTHON} "No environment can be made with $Python: it must be a 64-bit Python 3.12."
  ${EndIf}
  ${Run} '"$PLUGINSDIR\payload\uv.exe" pip install --quiet --offline --no-cache --no-index --find-links "$PLUGINSDIR\payload\wheels" --require-hashes --requirements "$PLUGINSDIR\payload\requirements.txt" --python "$Target"'
  ${If} $0 != 0
    ${Say} "$1"
    ${GiveUp} ${EXIT_ENVIRONMENT} "The agent cannot be put into its environment: is the disk full, or does a virus scanner hold its files?"
  ${EndIf}
  ${Run} '"$Target\Scripts\python.exe" -I "$PLUGINSDIR\payload\place.py" --root "$INSTDIR" --data "$Data" --release "$PLUGINSDIR\payload"'
  ${If} $0 != 0
    ${GiveUp} ${EXIT_ENVIRONMENT} "The new version cannot be put in its place: $1"
  ${EndIf}
  ${Run} '"$Target\Scripts\byoi.exe" version'
  ${If} $0 != 0
    ${GiveUp} ${EXIT_ENVIRONMENT} "The new version does not start: $1"
  ${EndIf}
FunctionEnd
