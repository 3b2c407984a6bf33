; The command line: /NAME or /NAME=VALUE, a value with spaces in quotes. What is not known is refused:
; a word that is spelt wrong must not become an installation that is not what was asked for.

Var Console    ; /CONSOLE=URL: enrol with it
Var TokenFile  ; /JOINTOKENFILE=FILE: without anybody's approval; the token itself is never an argument
Var Mode       ; /MODE=dedicated|idle|scheduled
Var Model      ; /MODEL=NAME
Var Proxy      ; /PROXY=URL: for the download of Python, and for the service
Var Python     ; /PYTHON=FILE: a python.exe 3.12 that is here, in place of one that uv brings
Var IsProofWanted ; "0" after /NOPROVE
Var IsStartWanted ; "0" after /NOSTART

Function ReadOptions
  StrCpy $IsProofWanted 1
  StrCpy $IsStartWanted 1
  ${GetParameters} $R0
  ${Do}
    Call NextWord
    ${If} $R1 == ""
      ${ExitDo}
    ${EndIf}
    Call SplitWord
    Call TakeOption
  ${Loop}
  ${If} $TokenFile != ""
    ${If} $Console == ""
      ${Refuse} ${EXIT_USAGE} "/JOINTOKENFILE needs /CONSOLE=URL as well."
    ${EndIf}
    ${IfNot} ${FileExists} "$TokenFile"
      ${Refuse} ${EXIT_USAGE} "There is no file $TokenFile (/JOINTOKENFILE)."
    ${EndIf}
  ${EndIf}
  ${If} $Python != ""
  ${AndIfNot} ${FileExists} "$Python"
    ${Refuse} ${EXIT_USAGE} "There is no file $Python (/PYTHON)."
  ${EndIf}
FunctionEnd

; The first word of $R0 goes to $R1 without its quotes; $R0 keeps the rest.
Function NextWord
  StrCpy $R1 ""
  StrCpy $R2 0 ; whether we are between quotes
  ${Do}
    StrCpy $R3 $R0 1
    ${If} $R3 == ""
      ${ExitDo}
    ${EndIf}
    StrCpy $R0 $R0 "" 1
    ${If} $R3 == '"'
      IntOp $R2 $R2 !
    ${ElseIf} $R3 == " "
    ${AndIf} $R2 == 0
      ${If} $R1 != ""
        ${ExitDo}
      ${EndIf}
    ${Else}
      StrCpy $R1 "$R1$R3"
    ${EndIf}
  ${Loop}
FunctionEnd

; $R1 at its first `=`: the name goes to $R1, the value to $R4.
Function SplitWord
  StrCpy $R2 0
  StrCpy $R4 ""
  ${Do}
    StrCpy $R3 $R1 1 $R2
    ${If} $R3 == ""
      ${ExitDo}
    ${EndIf}
    IntOp $R2 $R2 + 1
    ${If} $R3 == "="
      StrCpy $R4 $R1 "" $R2
      IntOp $R2 $R2 - 1
      StrCpy $R1 $R1 $R2
      ${ExitDo}
    ${EndIf}
  ${Loop}
FunctionEnd

Function TakeOption
  ${Select} $R1
    ${Case4} "/S" "/NCRC" "/NOPROVE" "/NOSTART"
      ${If} $R1 == "/NOPROVE"
        StrCpy $IsProofWanted 0
      ${ElseIf} $R1 == "/NOSTART"
        StrCpy $IsStartWanted 0
        StrCpy $IsProofWanted 0
      ${EndIf}
      Return
    ${Case5} "/CONSOLE" "/JOINTOKENFILE" "/MODE" "/MODEL" "/PROXY"
    ${Case2} "/PYTHON" "/LOG"
    ${CaseElse}
      ${Refuse} ${EXIT_USAGE} "$R1 is not known. Known: /S /CONSOLE= /JOINTOKENFILE= /MODE= /MODEL= /PROXY= /PYTHON= /LOG= /NOSTART /NOPROVE"
  ${EndSelect}
  ${If} $R4 == ""
    ${Refuse} ${EXIT_USAGE} "$R1 needs a value: $R1=…"
  ${EndIf}
  ${Select} $R1
    ${Case} "/CONSOLE"
      StrCpy $Console $R4
    ${Case} "/JOINTOKENFILE"
      StrCpy $TokenFile $R4
    ${Case} "/MODE"
      StrCpy $Mode $R4
      Call CheckMode
    ${Case} "/MODEL"
      StrCpy $Model $R4
    ${Case} "/PROXY"
      StrCpy $Proxy $R4
    ${Case} "/PYTHON"
      StrCpy $Python $R4
    ${Case} "/LOG"
      StrCpy $Log $R4
  ${EndSelect}
FunctionEnd

Function CheckMode
  ${If} $Mode != "dedicated"
  ${AndIf} $Mode != "idle"
  ${AndIf} $Mode != "scheduled"
    ${Refuse} ${EXIT_USAGE} "/MODE is dedicated, idle or scheduled; $Mode is none of them."
  ${EndIf}
FunctionEnd
