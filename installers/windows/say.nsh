; What the setup says: in its window, in the log, and where it is silent on standard output as well.

!macro SAY_FUNCTIONS un
Function ${un}OpenLog
  ${If} $Log == "$Data\setup.log"
    CreateDirectory "$Data"
  ${EndIf}
  ClearErrors
  FileOpen $0 "$Log" a
  ${If} ${Errors}
    StrCpy $0 "$Log"
    StrCpy $Log "$TEMP\byoi-setup.log"
    Push "The log $0 cannot be written; it is $Log instead."
    Call ${un}Say
  ${Else}
    FileClose $0
  ${EndIf}
FunctionEnd

; The sentence on the stack: into the log with the time, and out.
Function ${un}Say
  Exch $R9
  Push $0
  Push $1
  Push $2
  Push $3
  Push $4
  Push $5
  Push $6
  DetailPrint "$R9"
  ${GetTime} "" "L" $0 $1 $2 $3 $4 $5 $6
  StrCpy $1 "$2-$1-$0 $4:$5:$6"
  ClearErrors
  FileOpen $0 "$Log" a
  ${IfNot} ${Errors}
    FileSeek $0 0 END
    FileWrite $0 "$1 $R9$\r$\n"
    FileClose $0
  ${EndIf}
  ${If} ${Silent}
    Call ${un}StandardOutput
  ${EndIf}
  Pop $6
  Pop $5
  Pop $4
  Pop $3
  Pop $2
  Pop $1
  Pop $0
  Pop $R9
FunctionEnd

; A program with a window has no console of its own: the caller's, if it has one.
Function ${un}StandardOutput
  System::Call 'kernel32::GetStdHandle(i -11) p .r0'
  ${If} $0 P= 0
    System::Call 'kernel32::AttachConsole(i -1) i .r1'
    System::Call 'kernel32::GetStdHandle(i -11) p .r0'
  ${EndIf}
  ${If} $0 P<> 0
    StrCpy $1 "$R9$\r$\n"
    StrLen $2 $1
    System::Call 'kernel32::WriteFile(p r0, m r1, i r2, *i .r2, p 0)'
  ${EndIf}
FunctionEnd

; The sentence on the stack, for a person who must see it.
Function ${un}ShowFailure
  Exch $R9
  ${IfNot} ${Silent}
    MessageBox MB_OK|MB_ICONSTOP "$R9$\r$\n$\r$\nThe log is $Log"
  ${EndIf}
  Pop $R9
FunctionEnd
!macroend

!macro _SAY un TEXT
  Push "${TEXT}"
  Call ${un}Say
!macroend
!define Say `!insertmacro _SAY ""`
!define un.Say `!insertmacro _SAY "un."`

; Before anything was changed: say why, and leave.
!macro _REFUSE CODE TEXT
  ${Say} "${TEXT}"
  Push "${TEXT}"
  Call ShowFailure
  SetErrorLevel ${CODE}
  Quit
!macroend
!define Refuse `!insertmacro _REFUSE`

; After something was changed: say why, put back what was here, and leave.
!macro _GIVE_UP CODE TEXT
  ${Say} "${TEXT}"
  Push "${TEXT}"
  Call RollBack
  Call LetGo
  Call ShowFailure
  SetErrorLevel ${CODE}
  Quit
!macroend
!define GiveUp `!insertmacro _GIVE_UP`

; Run a program out of sight; its exit code is in $0, the first kilobyte of what it said in $1.
!macro _RUN COMMAND
  nsExec::ExecToStack /OEM `${COMMAND}`
  Pop $0
  Pop $1
!macroend
!define Run `!insertmacro _RUN`

!macro _SET_VARIABLE NAME VALUE
  System::Call 'kernel32::SetEnvironmentVariable(w "${NAME}", w "${VALUE}")'
!macroend
!define SetVariable `!insertmacro _SET_VARIABLE`

!insertmacro SAY_FUNCTIONS ""
