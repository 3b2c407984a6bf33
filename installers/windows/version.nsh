; Versions side by side, the file `current` that names one of them, and the way back.

!define READ_OR_WRITE 0xC0000000
!define SHARED 7
!define OPEN_EXISTING 3
!define OPEN_ALWAYS 4
!define EXCLUSIVE_AT_ONCE 3 ; of LockFileEx: do not wait
!define BEYOND_CONTENT 0x40000000
!define LOOK_SECONDS 60 ; how long an updater that only looks at its index is waited for

!macro _OPEN_LOCK HOW
  System::Call 'kernel32::CreateFileW(w "$INSTDIR\update\lock", i ${READ_OR_WRITE}, i ${SHARED}, p 0, i ${HOW}, i 0, p 0) p .r0'
  StrCpy $Lock ""
  ${If} $0 P<> -1
    StrCpy $Lock $0
  ${EndIf}
!macroend
!define OpenLock `!insertmacro _OPEN_LOCK`

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

; The updater takes back what is not the version that it is proving: a person's waits for its end. The
; lock is the one that the agent takes (config/file_locks.py). Here it is only looked at: the pages may
; stand open for a day.
Function RefuseBesideUpdate
  ${OpenLock} ${OPEN_EXISTING}
  ${If} $Lock == "" ; no update was ever begun here
    Return
  ${EndIf}
  Call TryLock
  ${If} $2 = 0
    Call RefuseUnderWay
  ${EndIf}
  Call LetGo
FunctionEnd

; From here on no update begins before this setup has ended: it would clear away what is half laid here.
Function HoldLock
  CreateDirectory "$INSTDIR\update"
  ${OpenLock} ${OPEN_ALWAYS}
  ${If} $Lock == ""
    ${Refuse} ${EXIT_FAILED} "$INSTDIR\update\lock cannot be opened, by which updates are kept from beginning meanwhile."
  ${EndIf}
  StrCpy $4 0
  ${Do}
    Call TryLock
    ${If} $2 <> 0
      Return
    ${EndIf}
    Call RefuseUnderWay
    ${If} $4 = 0
      ${Say} "byoi looks for a newer version just now; waiting for the end of that."
    ${EndIf}
    ${If} $4 >= ${LOOK_SECONDS}
      ${Refuse} ${EXIT_FAILED} "byoi has been looking for a newer version for ${LOOK_SECONDS} seconds (byoi update --status tells): wait until that is done, and try again."
    ${EndIf}
    Sleep 1000
    IntOp $4 $4 + 1
  ${Loop}
FunctionEnd

; Whether it is held now, in $2.
Function TryLock
  StrCpy $0 $Lock
  System::Call '*(p 0, p 0, i 0, i ${BEYOND_CONTENT}, p 0) p .r1'
  System::Call 'kernel32::LockFileEx(p r0, i ${EXCLUSIVE_AT_ONCE}, i 0, i 1, i 0, p r1) i .r2'
  System::Free $1
FunctionEnd

Function RefuseUnderWay
  Call ReadUnderWay
  ${If} $1 != ""
    ${Refuse} ${EXIT_FAILED} "byoi updates itself to $1 just now, and would take what is installed meanwhile back: wait until that is done (byoi update --status tells), and try again."
  ${EndIf}
FunctionEnd

; Also before a person is told anything that stands until it is clicked away.
Function LetGo
  ${If} $Lock != ""
    System::Call 'kernel32::CloseHandle(p $Lock)'
    StrCpy $Lock ""
  ${EndIf}
FunctionEnd

; Which version the updater installs or goes back from, in $1; empty where it only looks.
Function ReadUnderWay
  StrCpy $1 ""
  ClearErrors
  FileOpen $0 "$INSTDIR\update\told.json" r
  ${If} ${Errors}
    Return
  ${EndIf}
  ${Do}
    FileRead $0 $2
    ${If} ${Errors}
      ${ExitDo}
    ${EndIf}
    StrCpy $3 $2 14
    ${If} $3 == ' "underway": "'
      StrCpy $1 $2 "" 14
    ${EndIf}
  ${Loop}
  FileClose $0
  StrCpy $2 -1
  ${Do} ; up to the quote
    IntOp $2 $2 + 1
    StrCpy $3 $1 1 $2
    ${If} $3 == '"'
    ${OrIf} $3 == ""
      ${ExitDo}
    ${EndIf}
  ${Loop}
  StrCpy $1 $1 $2
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
    Call LetGo
    Delete "$INSTDIR\update\lock"
    RMDir "$INSTDIR\update"
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
