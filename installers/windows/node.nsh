; The node: its settings and its enrolment, and what Windows is told of it.

; Settings first, then the enrolment: by the token, or by a person in a console window.
Function Enrol
  ${If} $Model != ""
    ${Run} '"$INSTDIR\bin\byoi.exe" models serve "$Model"'
    ${If} $0 != 0
      ${GiveUp} ${EXIT_USAGE} "/MODEL: $1"
    ${EndIf}
  ${EndIf}
  ${If} $Mode != ""
    ${Run} '"$INSTDIR\bin\byoi.exe" config set mode "$Mode"'
    ${If} $0 != 0
      ${GiveUp} ${EXIT_USAGE} "/MODE: $1"
    ${EndIf}
  ${EndIf}
  ${If} $Console == ""
    Return
  ${EndIf}
  ${If} ${FileExists} "$Data\state\identity.json"
    ${Say} "This machine is enrolled already, and stays so."
    Return
  ${EndIf}
  ${If} $TokenFile != ""
    ${Run} '"$INSTDIR\bin\byoi.exe" enroll --console "$Console" --join-token-file "$TokenFile"'
    ${Say} "$1"
  ${ElseIf} ${Silent}
    StrCpy $0 1
    ${Say} "Without /JOINTOKENFILE somebody has to approve this machine, and nobody is here to do it."
  ${Else}
    ExecWait '"$INSTDIR\bin\byoi.exe" enroll --console "$Console"' $0
  ${EndIf}
  ${If} $0 != 0
    StrCpy $ExitCode ${EXIT_ENROLMENT}
    ${Say} "byoi is installed, but not enrolled with $Console. In a terminal of an administrator: byoi enroll --console $Console, then: byoi service start"
  ${EndIf}
FunctionEnd

; Settings > Apps, PATH, the Start menu, and the helper that sees whether somebody is at this machine.
Function TellWindows
  WriteUninstaller "$INSTDIR\uninstall.exe"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "DisplayName" "${TITLE}"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "Publisher" "byoi"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "DisplayIcon" "$INSTDIR\uninstall.exe"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKLM "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKLM "${UNINSTALL_KEY}" "NoModify" 1
  WriteRegDWORD HKLM "${UNINSTALL_KEY}" "NoRepair" 1
  ${GetSize} "$INSTDIR" "/S=0K" $0 $1 $2
  WriteRegDWORD HKLM "${UNINSTALL_KEY}" "EstimatedSize" $0
  WriteRegStr HKLM "${RUN_KEY}" "${SESSION_HELPER}" '"$INSTDIR\bin\byoi-window.exe" --quiet session'
  SetOutPath "$INSTDIR\bin" ; where a shortcut starts
  CreateDirectory "$SMPROGRAMS\byoi"
  CreateShortcut "$SMPROGRAMS\byoi\byoi dashboard.lnk" "$INSTDIR\bin\byoi-window.exe" "dashboard"
  Call AddToPath
  Call InviteUser
FunctionEnd

; Who belongs to the group may use the node, and tells it when somebody is there.
Function InviteUser
  ${If} ${Silent}
    ${Say} "Whoever may use the node, and tells it when somebody is there, belongs to a group: net localgroup byoi NAME /add"
  ${Else}
    ReadEnvStr $2 "USERNAME"
    ${Run} '"$SYSDIR\net.exe" localgroup byoi "$2" /add'
    ${Say} "$2 may use the node from the next sign-in on."
  ${EndIf}
FunctionEnd
