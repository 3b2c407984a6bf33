; The folder of our programs in the machine's PATH. That may be longer than a variable of NSIS, which
; would cut it off: so it never becomes one, and stays in memory of Windows' own.

!define ENVIRONMENT_KEY "SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
!define LOCAL_MACHINE 0x80000002
!define READ_AND_WRITE 0x2011F ; in the 64-bit view
!define REG_EXPAND_SZ 2

!macro PATH_FUNCTIONS un
; $R1: the opened key; $R2: memory with `;PATH;`, zero where it cannot be had; $R3: its registry type.
Function ${un}OpenPath
  StrCpy $R2 0
  System::Call 'advapi32::RegOpenKeyExW(p ${LOCAL_MACHINE}, w "${ENVIRONMENT_KEY}", i 0, i ${READ_AND_WRITE}, *p .R1) i .r0'
  ${If} $0 <> 0
    Return
  ${EndIf}
  System::Call 'advapi32::RegQueryValueExW(p R1, w "Path", p 0, *i .R3, p 0, *i .r1) i .r0'
  ${If} $0 <> 0
    System::Call 'advapi32::RegCloseKey(p R1)'
    Return
  ${EndIf}
  IntOp $2 $1 + 4096
  System::Alloc $2 ; zeroed
  Pop $R2
  System::Call 'kernel32::lstrcpyW(p R2, w ";")'
  IntPtrOp $3 $R2 + 2
  System::Call 'advapi32::RegQueryValueExW(p R1, w "Path", p 0, *i .R3, p r3, *i r1) i .r0'
  System::Call 'kernel32::lstrcatW(p R2, w ";")'
FunctionEnd

; Where `;FOLDER;` begins in it: $R4, zero where it is not there.
Function ${un}FindOurs
  StrCpy $R5 ";$INSTDIR\bin;"
  System::Call 'shlwapi::StrStrIW(p R2, w R5) p .R4'
FunctionEnd

; What is between the first and the last semicolon becomes PATH again.
Function ${un}WritePath
  System::Call 'kernel32::lstrlenW(p R2) i .r1'
  IntOp $2 $1 - 1
  IntOp $2 $2 * 2
  IntPtrOp $3 $R2 + $2
  System::Call '*$3(&i2 0)' ; in place of the last semicolon
  IntPtrOp $3 $R2 + 2
  System::Call 'advapi32::RegSetValueExW(p R1, w "Path", i 0, i R3, p r3, i r2) i .r0'
FunctionEnd

Function ${un}ClosePath
  System::Call 'advapi32::RegCloseKey(p R1)'
  System::Free $R2
  SendMessage ${HWND_BROADCAST} ${WM_SETTINGCHANGE} 0 "STR:Environment" /TIMEOUT=2000
FunctionEnd
!macroend

!insertmacro PATH_FUNCTIONS ""

Function AddToPath
  Call OpenPath
  ${If} $R2 P= 0
    ${Say} "PATH cannot be read, and stays as it is: byoi is $INSTDIR\bin\byoi.exe."
    Return
  ${EndIf}
  Call FindOurs
  ${If} $R4 P= 0
    System::Call 'kernel32::lstrcatW(p R2, w "$INSTDIR\bin;")'
    Call WritePath
  ${EndIf}
  Call ClosePath
FunctionEnd

!macro REMOVE_FROM_PATH
Function un.RemoveFromPath
  Call un.OpenPath
  ${If} $R2 P= 0
    Return
  ${EndIf}
  Call un.FindOurs
  ${If} $R4 P<> 0
    StrLen $1 $R5
    IntOp $1 $1 - 1
    IntOp $1 $1 * 2
    IntPtrOp $3 $R4 + $1 ; the semicolon after it, and all that follows
    System::Call 'kernel32::lstrlenW(p r3) i .r2'
    IntOp $2 $2 + 1
    IntOp $2 $2 * 2
    System::Call 'ntdll::RtlMoveMemory(p R4, p r3, p r2)'
    Call un.WritePath
  ${EndIf}
  Call un.ClosePath
FunctionEnd
!macroend
