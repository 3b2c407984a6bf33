; Versions side by side, the file `current` that names one of them, and the way back.

Function ReadPrevious
  StrCpy $Previous ""
  ClearErrors
  FileOpen $0 "$INSTDIR\current" r
  ${IfNot} ${Errors}
    FileRead $0 $Previous
    FileClose $0
    ${Do}
      StrCpy $1 $Previous 1 -1
      ${If} $1 != "$\r"
      ${AndIf} $1 != "$\n"
        ${ExitDo}
      ${EndIf}
      StrCpy $Previous $Previous -1
    ${Loop}
  ${EndIf}
FunctionEnd

; Commands that run here are meant for the service: its folders, not the administrator's.
Function ForeignPlaces
  ${SetVariable} "STATE_DIRECTORY" "$Data\state"
  ${SetVariable} "CACHE_DIRECTORY" "$Data\cache"
  ${SetVariable} "RUNTIME_DIRECTORY" "$Data\run"
  ${SetVariable} "BYOI_CONFIG" "$Data\config.toml"
FunctionEnd

; Could the version that runs serve? Then the new one has to as well.
Function AskPrevious
  StrCpy $WasProven 0
  ${If} $Previous == ""
  ${OrIf} $IsProofWanted == 0
    Return
  ${EndIf}
  Call ServiceState
  ${If} $R0 = ${SERVICE_RUNNING}
    ${Run} '"$INSTDIR\bin\byoi.exe" prove --wait 5'
    ${If} $0 == 0
      StrCpy $WasProven 1
    ${EndIf}
  ${EndIf}
FunctionEnd

; The same version again: it is put aside, with the service stopped, since its files are in use.
Function MakeRoom
  StrCpy $Aside ""
  StrCpy $IsSwitched 0
  CreateDirectory "$INSTDIR\versions"
  ${If} $Previous == "${VERSION}"
    Call StopForSwitch
    StrCpy $Aside "$Target.before"
    RMDir /r "$Aside"
    ClearErrors
    Rename "$Target" "$Aside"
    ${If} ${Errors}
      StrCpy $Aside ""
      StrCpy $Target "" ; nothing of it may be removed
      ${GiveUp} ${EXIT_FAILED} "Files of version ${VERSION} are in use: sign out whoever is signed in, or restart Windows, and run this again."
    ${EndIf}
  ${EndIf}
  RMDir /r "$Target" ; what was cut off in the middle
FunctionEnd

Function StopForSwitch
  Call ServiceState
  ${If} $R0 > ${SERVICE_STOPPED}
    ${Say} "Stopping the service; what it is answering comes to its end first."
    Call StopService
    ${If} $R0 > ${SERVICE_STOPPED}
      ${GiveUp} ${EXIT_SERVICE} "The service did not stop within five minutes. Restart Windows, and run this again."
    ${EndIf}
  ${EndIf}
FunctionEnd

; The programs on PATH; one that runs now can be renamed, though not replaced.
Function PlaceLaunchers
  CreateDirectory "$INSTDIR\bin"
  Push "byoi.exe"
  Call PlaceLauncher
  Push "byoi-window.exe"
  Call PlaceLauncher
FunctionEnd

Function PlaceLauncher
  Pop $0
  Delete "$INSTDIR\bin\$0.old"
  Rename "$INSTDIR\bin\$0" "$INSTDIR\bin\$0.old"
  ClearErrors
  CopyFiles /SILENT "$PLUGINSDIR\payload\bin\$0" "$INSTDIR\bin\$0"
  ${If} ${Errors}
    ${GiveUp} ${EXIT_FAILED} "$INSTDIR\bin\$0 cannot be written."
  ${EndIf}
  Delete /REBOOTOK "$INSTDIR\bin\$0.old"
FunctionEnd

Function Switch
  Call StopForSwitch
  Push "${VERSION}"
  Call WriteCurrent
  StrCpy $IsSwitched 1
FunctionEnd

; The version on the stack becomes the current one, in one step.
Function WriteCurrent
  Pop $1
  FileOpen $0 "$INSTDIR\current.new" w
  FileWrite $0 "$1$\n"
  FileClose $0
  System::Call 'kernel32::MoveFileExW(w "$INSTDIR\current.new", w "$INSTDIR\current", i 9) i .r0'
  ${If} $0 = 0
    Delete "$INSTDIR\current"
    Rename "$INSTDIR\current.new" "$INSTDIR\current"
  ${EndIf}
FunctionEnd

; As it was before this setup ran. The enrolment and the settings are never touched.
Function RollBack
  ${If} $IsSwitched == 1
    Call StopService
    ${If} $Previous == ""
      ${Run} '"$Target\Scripts\byoi.exe" service uninstall --system'
      Call DeleteService
    ${EndIf}
  ${EndIf}
  ${If} $Target != ""
    RMDir /r "$Target"
    ${If} $Aside != ""
      Rename "$Aside" "$Target"
    ${EndIf}
  ${EndIf}
  ${If} $Previous == ""
    RMDir /r "$INSTDIR\python"
    RMDir /r "$INSTDIR\bin"
    Delete "$INSTDIR\current"
    RMDir "$INSTDIR\versions"
    RMDir "$INSTDIR"
    ${Say} "Nothing was installed."
    Return
  ${EndIf}
  ${If} $IsSwitched == 1
    Push $Previous
    Call WriteCurrent
    ${Run} '"$INSTDIR\versions\$Previous\Scripts\byoi.exe" service install --system --no-start'
  ${EndIf}
  ${If} $IsStartWanted == 1
  ${AndIf} ${FileExists} "$Data\state\identity.json"
    Call StartService
  ${EndIf}
  ${Say} "Version $Previous is back."
FunctionEnd

; All but this version and the one before it, as far as nobody uses them.
Function RemoveOld
  ${If} $Aside != ""
    RMDir /r "$Aside"
  ${EndIf}
  FindFirst $0 $1 "$INSTDIR\versions\*"
  ${DoUntil} $1 == ""
    ${If} $1 != "."
    ${AndIf} $1 != ".."
    ${AndIf} $1 != "${VERSION}"
    ${AndIf} $1 != $Previous
      RMDir /r "$INSTDIR\versions\$1"
    ${EndIf}
    FindNext $0 $1
  ${Loop}
  FindClose $0
FunctionEnd
