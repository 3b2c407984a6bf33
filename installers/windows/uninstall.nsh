; All of it away again: the service and with it its account, files, PATH, what Windows was told. What
; the node keeps (enrolment, settings, models) stays unless it is asked for: /PURGE, or the box.

Var IsPurge
Var PurgeField

!insertmacro SAY_FUNCTIONS "un."
!insertmacro SERVICE_FUNCTIONS "un."
!insertmacro PATH_FUNCTIONS "un."
!insertmacro REMOVE_FROM_PATH

Function un.onInit
  SetRegView 64
  SetShellVarContext all
  StrCpy $INSTDIR "$PROGRAMFILES64\byoi"
  StrCpy $Data "$APPDATA\byoi"
  StrCpy $Log "$TEMP\byoi-uninstall.log"
  StrCpy $IsPurge 0
  ${GetParameters} $R0
  ClearErrors
  ${GetOptions} $R0 "/PURGE" $0
  ${IfNot} ${Errors}
    StrCpy $IsPurge 1
  ${EndIf}
  ClearErrors
  ${GetOptions} $R0 "/LOG=" $0
  ${IfNot} ${Errors}
    StrCpy $Log $0
  ${EndIf}
  Call un.OpenLog
  UserInfo::GetAccountType
  Pop $0
  ${If} $0 != "Admin"
    Push "The service is the machine's: run this as an administrator."
    Call un.TellFailure
    SetErrorLevel ${EXIT_NO_RIGHTS}
    Quit
  ${EndIf}
FunctionEnd

Function un.TellFailure
  Exch $R8
  ${un.Say} "$R8"
  Push "$R8"
  Call un.ShowFailure
  Pop $R8
FunctionEnd

Function un.AskPurge
  !insertmacro MUI_HEADER_TEXT "What the node keeps" "Its enrolment, its settings, its books and the models that it downloaded."
  nsDialogs::Create 1018
  Pop $0
  ${NSD_CreateCheckbox} 0 0 100% 24u "Remove that as well ($Data). An enrolment that is removed cannot be taken up again."
  Pop $PurgeField
  nsDialogs::Show
FunctionEnd

Function un.TakePurge
  ${NSD_GetState} $PurgeField $0
  ${If} $0 == ${BST_CHECKED}
    StrCpy $IsPurge 1
  ${EndIf}
FunctionEnd

Section "Uninstall"
  ${un.Say} "Removing byoi."
  Call un.StopService
  ${If} $R0 > ${SERVICE_STOPPED}
    Push "The service did not stop within five minutes. Restart Windows, and run this again."
    Call un.TellFailure
    SetErrorLevel ${EXIT_SERVICE}
    Quit
  ${EndIf}
  SetOutPath "$TEMP" ; a folder that somebody stands in cannot be removed
  ${Run} '"$INSTDIR\bin\byoi.exe" service uninstall --system'
  ${If} $0 != 0
    ${un.Say} "$1"
    ${Run} '"$SYSDIR\schtasks.exe" /Delete /F /TN "byoi update"'
  ${EndIf}
  Call un.DeleteService
  Call un.EndHelpers
  Call un.RemoveFromPath
  DeleteRegKey HKLM "${UNINSTALL_KEY}"
  DeleteRegValue HKLM "${RUN_KEY}" "${SESSION_HELPER}"
  RMDir /r "$SMPROGRAMS\byoi"
  RMDir /r /REBOOTOK "$INSTDIR\versions"
  RMDir /r /REBOOTOK "$INSTDIR\python"
  RMDir /r /REBOOTOK "$INSTDIR\bin"
  RMDir /r /REBOOTOK "$INSTDIR\update"
  Delete "$INSTDIR\current"
  Delete /REBOOTOK "$INSTDIR\uninstall.exe"
  RMDir /REBOOTOK "$INSTDIR"
  ${If} $IsPurge == 1
    RMDir /r /REBOOTOK "$Data"
    ${un.Say} "Its enrolment, settings and models are gone as well."
  ${Else}
    ${un.Say} "What the node keeps stays in $Data; uninstall.exe /S /PURGE would have removed it."
  ${EndIf}
  ${If} ${RebootFlag}
    ${un.Say} "Some files are in use; they go when Windows starts again."
  ${EndIf}
  ${un.Say} "byoi is removed."
SectionEnd

; What users run of ours at their sign-in holds its files.
Function un.EndHelpers
  FileOpen $0 "$INSTDIR\current" r
  FileRead $0 $1
  FileClose $0
  StrCpy $1 $1 -1
  ${If} $1 != ""
    ${Run} '"$INSTDIR\versions\$1\Scripts\python.exe" -I "$INSTDIR\versions\$1\place.py" --root "$INSTDIR" --end-programs'
  ${EndIf}
FunctionEnd
