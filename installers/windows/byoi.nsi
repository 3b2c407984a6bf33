; The installer for Windows: everything below one folder, a service with an account of its own, and
; what it says of itself to Windows. build.py compiles it; it passes VERSION, QUAD, PAYLOAD and
; OUT_FILE. What a silent installation takes, and its exit codes, stand in docs/provider-guide.md.

Unicode true
Target amd64-unicode
ManifestSupportedOS Win10
ManifestDPIAware true
RequestExecutionLevel admin
SetCompressor zlib ; wheels are compressed already: LZMA takes a minute, and saves a tenth
SetDateSave off
CRCCheck on
ShowInstDetails show
ShowUninstDetails show

!define NAME "byoi"
!define TITLE "byoi node agent"
!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\byoi"
!define RUN_KEY "Software\Microsoft\Windows\CurrentVersion\Run"

!define SESSION_HELPER "byoi session" ; the name that the agent registers it by

!define EXIT_FAILED 2
!define EXIT_WINDOWS 10
!define EXIT_PYTHON 11
!define EXIT_ENVIRONMENT 12
!define EXIT_SERVICE 13
!define EXIT_ENROLMENT 14
!define EXIT_USAGE 64
!define EXIT_UNPROVEN 69
!define EXIT_NO_RIGHTS 77

Name "${TITLE} ${VERSION}"
OutFile "${OUT_FILE}"
InstallDir "$PROGRAMFILES64\byoi"
BrandingText "byoi ${VERSION}"
VIProductVersion "${QUAD}"
VIAddVersionKey "ProductName" "${TITLE}"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "FileDescription" "Setup of the ${TITLE}"
VIAddVersionKey "CompanyName" "byoi"
VIAddVersionKey "LegalCopyright" "Apache License 2.0"

!include LogicLib.nsh
!include MUI2.nsh
!include nsDialogs.nsh
!include x64.nsh
!include WinVer.nsh
!include FileFunc.nsh

Var Log        ; the log's file
Var Data       ; %ProgramData%\byoi
Var Previous   ; the version that was the current one; empty at a first installation
Var Target     ; the folder of the version that is being installed
Var Aside      ; where the same version was put aside while it is installed again; or empty
Var WasProven  ; "1" where the version before could serve
Var IsSwitched ; "1" from when `current` names the new version
Var Lock       ; the updater's lock while it is open here; or empty
Var ExitCode

!include say.nsh
!include options.nsh
!include path.nsh
!include service.nsh
!include python.nsh
!include version.nsh
!include wizard.nsh
!include node.nsh
!include uninstall.nsh

Function .onInit
  SetRegView 64
  SetShellVarContext all
  StrCpy $INSTDIR "$PROGRAMFILES64\byoi" ; wherever /D points: its rights are part of the design
  StrCpy $Data "$APPDATA\byoi"
  StrCpy $Log "$Data\setup.log"
  StrCpy $Target "$INSTDIR\versions\${VERSION}"
  StrCpy $ExitCode 0
  Call ReadOptions
  ${IfNot} ${RunningX64}
  ${OrIfNot} ${AtLeastWin10}
    ${Refuse} ${EXIT_WINDOWS} "byoi needs 64-bit Windows 10 or newer, or Windows Server 2019 or newer."
  ${EndIf}
  Call NeedRights
  Call OpenLog
  Call ReadPrevious
  Call RefuseBesideUpdate
FunctionEnd

Function NeedRights
  UserInfo::GetAccountType
  Pop $0
  ${If} $0 != "Admin"
    ${Refuse} ${EXIT_NO_RIGHTS} "The setup registers a service: run it as an administrator."
  ${EndIf}
FunctionEnd

Section "byoi"
  ${Say} "Installing byoi ${VERSION}."
  Call HoldLock
  Call ReadPrevious ; by now an update may have been done
  ${If} $Previous != ""
    ${Say} "Version $Previous is here, and stays beside the new one."
  ${EndIf}
  InitPluginsDir
  SetOutPath "$PLUGINSDIR\payload"
  File /r "${PAYLOAD}/*.*"
  Call ForeignPlaces
  Call AskPrevious
  Call MakeRoom
  Call FindPython
  Call MakeEnvironment
  Call PlaceLaunchers
  Call Switch
  Call RegisterService
  Call Enrol
  Call StartAndProve
  Call TellWindows
  Call RemoveOld
  Call LetGo
  ${If} $ExitCode == 0
    ${Say} "byoi ${VERSION} is installed."
  ${EndIf}
  SetErrorLevel $ExitCode
SectionEnd
