; The service as Windows' service manager knows it. The agent registers it (`byoi service install`);
; here it is stopped, started and waited for, and removed where the agent cannot do that any more.

!define SERVICE_STOPPED 1
!define SERVICE_RUNNING 4
!define MAY_ASK 0x4
!define MAY_ASK_AND_START 0x14
!define MAY_ASK_AND_STOP 0x24
!define MAY_DELETE 0x10000
!define REG_MULTI_SZ 7
!define CONTROL_STOP 1
!define LOOK_MILLISECONDS 250
!define STOP_LOOKS 1200  ; five minutes: requests that are being answered come to their end first
!define START_LOOKS 480  ; two minutes

!macro SERVICE_FUNCTIONS un
; With the rights in $R1: the service in $R2, zero where there is none; the manager in $R3.
Function ${un}OpenService
  System::Call 'advapi32::OpenSCManagerW(p 0, p 0, i 1) p .R3'
  System::Call 'advapi32::OpenServiceW(p R3, w "${NAME}", i R1) p .R2'
FunctionEnd

Function ${un}CloseService
  ${If} $R2 P<> 0
    System::Call 'advapi32::CloseServiceHandle(p R2)'
  ${EndIf}
  System::Call 'advapi32::CloseServiceHandle(p R3)'
FunctionEnd

; Its state in $R0, 0 where there is none; the code that it ended with in $R4.
Function ${un}ServiceState
  StrCpy $R0 0
  StrCpy $R1 ${MAY_ASK}
  Call ${un}OpenService
  ${If} $R2 P<> 0
    System::Call '*(i, i, i, i, i, i, i) p .r3'
    System::Call 'advapi32::QueryServiceStatus(p R2, p r3)'
    System::Call '*$3(i, i .R0, i, i .R4, i .r2, i, i)'
    System::Free $3
    ${If} $R4 = 1066 ; the code is the service's own
      StrCpy $R4 $2
    ${EndIf}
  ${EndIf}
  Call ${un}CloseService
FunctionEnd

; Ask it to stop, and wait until it has: state in $R0.
Function ${un}StopService
  Call ${un}ServiceState
  ${If} $R0 <= ${SERVICE_STOPPED}
    Return
  ${EndIf}
  StrCpy $R1 ${MAY_ASK_AND_STOP}
  Call ${un}OpenService
  System::Call '*(i, i, i, i, i, i, i) p .r3'
  System::Call 'advapi32::ControlService(p R2, i ${CONTROL_STOP}, p r3)'
  System::Free $3
  Call ${un}CloseService
  StrCpy $R5 0
  ${Do}
    Call ${un}ServiceState
    ${If} $R0 <= ${SERVICE_STOPPED}
    ${OrIf} $R5 >= ${STOP_LOOKS}
      ${ExitDo}
    ${EndIf}
    IntOp $R5 $R5 + 1
    Sleep ${LOOK_MILLISECONDS}
  ${Loop}
FunctionEnd

; Where the agent cannot do it any more: its environment may be damaged.
Function ${un}DeleteService
  StrCpy $R1 ${MAY_DELETE}
  Call ${un}OpenService
  ${If} $R2 P<> 0
    System::Call 'advapi32::DeleteService(p R2)'
  ${EndIf}
  Call ${un}CloseService
FunctionEnd
!macroend

!insertmacro SERVICE_FUNCTIONS ""

; Start it and wait until it runs, or has ended again: state in $R0, its code in $R4.
Function StartService
  StrCpy $R1 ${MAY_ASK_AND_START}
  Call OpenService
  System::Call 'advapi32::StartServiceW(p R2, i 0, p 0) i .r0 ?e'
  Pop $1
  Call CloseService
  StrCpy $R5 0
  ${Do}
    Call ServiceState
    ${If} $R0 = ${SERVICE_RUNNING}
    ${OrIf} $R0 <= ${SERVICE_STOPPED}
    ${OrIf} $R5 >= ${START_LOOKS}
      ${ExitDo}
    ${EndIf}
    IntOp $R5 $R5 + 1
    Sleep ${LOOK_MILLISECONDS}
  ${Loop}
  ${If} $0 = 0
  ${AndIf} $R0 <> ${SERVICE_RUNNING}
    StrCpy $R4 $1
  ${EndIf}
FunctionEnd

; Stopped and registered by the version in $Target; nothing of the one before runs any more.
Function RegisterService
  ${Say} "Registering the service."
  ${IfNot} ${FileExists} "$Data\config.toml" ; a file of settings that is named must be there
    FileOpen $0 "$Data\config.toml" w
    FileWrite $0 'key_store = "file"  # an administrator enrols, and the service cannot read his vault$\n'
    FileClose $0
  ${EndIf}
  ${Run} '"$Target\Scripts\byoi.exe" service install --system --no-start'
  ${If} $0 != 0
    ${GiveUp} ${EXIT_SERVICE} "The service cannot be registered: $1"
  ${EndIf}
  ${If} $Proxy != ""
    Call TellServiceOfProxy
  ${EndIf}
FunctionEnd

; Two variables of the service's own, as Windows keeps them: a list of texts, each with its zero.
Function TellServiceOfProxy
  System::Call 'advapi32::RegOpenKeyExW(p ${LOCAL_MACHINE}, w "SYSTEM\CurrentControlSet\Services\${NAME}", i 0, i ${READ_AND_WRITE}, *p .R1) i .r0'
  ${If} $0 <> 0
    ${Say} "The service's proxy cannot be set: set HTTPS_PROXY for the machine."
    Return
  ${EndIf}
  System::Alloc 8192 ; zeroed
  Pop $R2
  StrCpy $1 "HTTPS_PROXY=$Proxy"
  StrCpy $2 "HTTP_PROXY=$Proxy"
  StrLen $3 $1
  IntOp $3 $3 + 1
  IntOp $4 $3 * 2
  IntPtrOp $5 $R2 + $4
  System::Call 'kernel32::lstrcpyW(p R2, w r1)'
  System::Call 'kernel32::lstrcpyW(p r5, w r2)'
  StrLen $6 $2
  IntOp $6 $6 + $3
  IntOp $6 $6 + 2
  IntOp $6 $6 * 2
  System::Call 'advapi32::RegSetValueExW(p R1, w "Environment", i 0, i ${REG_MULTI_SZ}, p R2, i r6) i .r0'
  System::Call 'advapi32::RegCloseKey(p R1)'
  System::Free $R2
FunctionEnd

Function StartAndProve
  ${IfNot} ${FileExists} "$Data\state\identity.json"
    ${Say} "Not connected to a console yet. In a terminal of an administrator: byoi enroll --console URL, then: byoi service start"
    Return
  ${EndIf}
  ${If} $IsStartWanted == 0
    ${Say} "The service is not started, as you asked; byoi service start does it."
    Return
  ${EndIf}
  ${Say} "Starting the service."
  Call StartService
  ${If} $R0 <> ${SERVICE_RUNNING}
    ${GiveUp} ${EXIT_SERVICE} "The service of version ${VERSION} does not come up (code $R4); its log is in $Data\state\logs."
  ${EndIf}
  ${If} $IsProofWanted == 0
    Return
  ${EndIf}
  ${Say} "Proving it: the service looks for the GPU and answers one token, under its own account."
  ${Run} '"$INSTDIR\bin\byoi.exe" prove --wait 900'
  ${Say} "$1"
  ${If} $0 != 0
    ${If} $WasProven == 1
      ${GiveUp} ${EXIT_SERVICE} "Version $Previous could serve, and ${VERSION} cannot."
    ${EndIf}
    StrCpy $ExitCode ${EXIT_UNPROVEN}
    ${Say} "byoi ${VERSION} is installed, but this machine does not serve yet: byoi doctor says what to do."
  ${EndIf}
FunctionEnd
